/* The parts of the add-on's surface; each puts its functions and constants into the exports. */
#ifndef BLKFERRY_ADDON_H
#define BLKFERRY_ADDON_H

#include "addon_value.h"

void bf_export_files(napi_env env, napi_value exports);
void bf_export_sockets(napi_env env, napi_value exports);
void bf_export_process(napi_env env, napi_value exports);
void bf_export_nbd(napi_env env, napi_value exports);
void bf_export_watch(napi_env env, napi_value exports);

#endif
