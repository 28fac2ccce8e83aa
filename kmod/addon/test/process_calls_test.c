/* Sockets and what a process does to itself, under the sanitizers: each once where it works and once where it fails. */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "naive_bytes.h"
#include "process_calls.h"
#include "socket_calls.h"

static void test_socket_pair(void)
{
	int ends[2];
	char letter;

	assert(bf_socket_pair(ends) == 0);
	assert((fcntl(ends[0], F_GETFD) & FD_CLOEXEC) && (fcntl(ends[1], F_GETFD) & FD_CLOEXEC));
	/* The kernel's end waits, ours does not. */
	assert((fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0 && (fcntl(ends[1], F_GETFL) & O_NONBLOCK) != 0);
	assert(read(ends[1], &letter, 1) == -1 && errno == EAGAIN);
	assert(write(ends[0], "x", 1) == 1 && read(ends[1], &letter, 1) == 1 && letter == 'x');
	close(ends[0]);
	assert(read(ends[1], &letter, 1) == 0);
	close(ends[1]);
}

static void test_hung_up(void)
{
	int ends[2];
	char letter;

	assert(bf_socket_pair(ends) == 0);
	assert(bf_has_hung_up(ends[1]) == 0);
	assert(write(ends[0], "x", 1) == 1 && shutdown(ends[0], SHUT_WR) == 0);
	/* It waits for answers still. */
	assert(bf_has_hung_up(ends[1]) == 0);
	close(ends[0]);
	assert(bf_has_hung_up(ends[1]) == 1);
	/* Nothing was read. */
	assert(read(ends[1], &letter, 1) == 1 && letter == 'x');
	close(ends[1]);
	assert(bf_has_hung_up(ends[1]) == -EBADF);
}

static int receiver(struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert(fd >= 0 && bind(fd, (struct sockaddr *)address, length) == 0);
	return fd;
}

static void test_datagram(void)
{
	struct sockaddr_un abstract = { .sun_family = AF_UNIX };
	struct sockaddr_un file = { .sun_family = AF_UNIX };
	char name[BF_SOCKET_PATH_SIZE], folder[] = "/tmp/blkferry-process-calls-XXXXXX", received[8];
	const char *call = "";
	int fd;

	snprintf(name, sizeof(name), "@blkferry-process-calls-%d", getpid());
	memcpy(abstract.sun_path + 1, name + 1, strlen(name) - 1);
	fd = receiver(&abstract, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
	assert(bf_send_datagram(name, "READY=1", 7, &call) == 0);
	assert(recv(fd, received, sizeof(received), MSG_DONTWAIT) == 7 && memcmp(received, "READY=1", 7) == 0);
	close(fd);
	assert(bf_send_datagram(name, "READY=1", 7, &call) == -ECONNREFUSED && strcmp(call, "sendto") == 0);

	assert(mkdtemp(folder) != NULL);
	snprintf(file.sun_path, sizeof(file.sun_path), "%s/socket", folder);
	fd = receiver(&file, sizeof(file));
	/* Nobody takes them: it does not wait. */
	for (int sent = 0;; sent++) {
		int error = bf_send_datagram(file.sun_path, "x", 1, &call);

		assert(error == 0 || (error == -EAGAIN && sent > 0));
		if (error != 0)
			break;
	}
	close(fd);
	unlink(file.sun_path);
	rmdir(folder);
	assert(bf_send_datagram(file.sun_path, "x", 1, &call) == -ENOENT);
	assert(bf_send_datagram("", "x", 1, &call) == -ENAMETOOLONG);
}

static void test_longest_socket_path(void)
{
	char path[BF_SOCKET_PATH_SIZE + 1];
	const char *call;

	memset(path, 'x', sizeof(path));
	path[BF_SOCKET_PATH_SIZE] = '\0';
	assert(bf_send_datagram(path, "x", 1, &call) == -ENAMETOOLONG);
	path[BF_SOCKET_PATH_SIZE - 1] = '\0';
	assert(bf_send_datagram(path, "x", 1, &call) == -ENOENT);
	path[0] = '@';
	assert(bf_send_datagram(path, "x", 1, &call) == -ECONNREFUSED);
}

static void test_io_flusher(void)
{
	int before = bf_is_io_flusher();

	if (before == -EPERM || before == -EINVAL) {
		assert(bf_set_io_flusher(true) == before);
		puts("process_calls: not tried here, the mark of I/O flushers: needs CAP_SYS_RESOURCE and Linux 5.6");
		return;
	}
	assert(before == 0 && bf_set_io_flusher(true) == 0 && bf_is_io_flusher() == 1);
	assert(bf_set_io_flusher(false) == 0 && bf_is_io_flusher() == 0);
}

/* In a child, which dies of what leaves a core; the kernel says whether it wrote one. */
static bool leaves_core(bool is_forbidden)
{
	const struct rlimit limit = { .rlim_cur = 0, .rlim_max = 0 };
	int status;
	pid_t child = fork();

	assert(child >= 0);
	if (child == 0) {
		if (is_forbidden && (bf_forbid_core_dumps() != 0 || prctl(PR_GET_DUMPABLE) != 0))
			_exit(90);
		if (!is_forbidden && prctl(PR_GET_DUMPABLE) != 1)
			_exit(91);
		/* Files no longer than nothing; a handler has no limit. */
		setrlimit(RLIMIT_CORE, &limit);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	assert(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return WCOREDUMP(status);
}

static void test_core_dumps(void)
{
	/* Where this is so, dumps go to a handler, and only the mark kept it from one. */
	if (!leaves_core(false))
		puts("process_calls: no core dump would be written here anyway");
	assert(!leaves_core(true));
}

static void test_times_slept(void)
{
	const int64_t before = bf_times_slept();

	assert(before >= 0);
	usleep(1000);
	assert(bf_times_slept() == before + 1);
}

static void test_duplicate(void)
{
	int ends[2], copy;
	char letter;

	assert(bf_socket_pair(ends) == 0);
	copy = bf_duplicate(ends[1]);
	assert(copy >= 0 && copy != ends[1] && (fcntl(copy, F_GETFD) & FD_CLOEXEC));
	close(ends[1]);
	assert(write(ends[0], "x", 1) == 1 && read(copy, &letter, 1) == 1 && letter == 'x');
	close(copy);
	close(ends[0]);
	assert(bf_duplicate(copy) == -EBADF);
}

static void test_lock_pages(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *mapping = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	assert(mapping != MAP_FAILED);
	error = bf_lock_pages((uintptr_t)mapping, page);
	assert(error == 0 || error == -EPERM);
	munmap(mapping, page);
	assert(bf_lock_pages((uintptr_t)mapping, page) < 0);
}

/* In a child: a stream that is close-on-exec is kept for the new program, and left as it was when there is none. */
static void test_replace_process(void)
{
	char *words[] = { (char *)"sh", (char *)"-c", (char *)"echo \"$0 $NAME\"", (char *)"arg", NULL };
	char *environment[] = { (char *)"NAME=value", NULL };
	char said[64] = { 0 };
	int status, pipes[2];
	pid_t child;

	assert(pipe2(pipes, O_CLOEXEC) == 0);
	child = fork();
	assert(child >= 0);
	if (child == 0) {
		dup3(pipes[1], STDOUT_FILENO, O_CLOEXEC);
		if (bf_replace_process("/nonexistent", words, environment) != -ENOENT)
			_exit(90);
		if ((fcntl(STDOUT_FILENO, F_GETFD) & FD_CLOEXEC) == 0)
			_exit(91);
		bf_replace_process("/bin/sh", words, environment);
		_exit(92);
	}
	close(pipes[1]);
	assert(read(pipes[0], said, sizeof(said) - 1) > 0);
	assert(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert(strcmp(said, "arg value\n") == 0);
	close(pipes[0]);
}

int main(void)
{
	test_socket_pair();
	test_hung_up();
	test_duplicate();
	test_times_slept();
	test_datagram();
	test_longest_socket_path();
	test_io_flusher();
	test_core_dumps();
	test_lock_pages();
	test_replace_process();
	puts("process_calls: all assertions held");
	return 0;
}
