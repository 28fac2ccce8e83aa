/* Where Node comes in. No policy lives in the add-on: it takes values, calls, and tells what came of it. */
#include "addon.h"

NAPI_MODULE_INIT()
{
	bf_export_files(env, exports);
	bf_export_sockets(env, exports);
	bf_export_process(env, exports);
	bf_export_nbd(env, exports);
	bf_export_watch(env, exports);
	return exports;
}
