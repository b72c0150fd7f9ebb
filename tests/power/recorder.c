/* Records what a process asks of the disk, or makes the n-th such call fail. Loaded with LD_PRELOAD; built by power.py.
 *
 * RECORD_ROOT   the folder that is watched (everything whose path begins with it)
 * RECORD_LOG    where the log goes: one totally ordered file, see `struct record`; octets sent to clients are in it too, so
 *               that what had been acknowledged by any moment is exact
 * RECORD_BLIND  "fdatasync:.segment" or "fsync:/segments": syncs of paths with that end are left out of the log, as if the
 *               program had forgotten them (the test must then find losses)
 * RECORD_FAIL   "n:count:errno:class": calls n .. n+count-1 of the class fail; class any|write|sync|open|accept|short
 * RECORD_SLOW   so many microseconds more for each fdatasync: a RAM disk syncs sooner than any disk does
 * RECORD_FULL   while this file exists, the disk is full; the first write then is a part of one
 * RECORD_COUNT  how many calls of the class there were is written here at the end of each call
 *
 * Calls that change the disk are made under one lock, so the log's order is the order they happened in. A sync has a
 * begin and an end: what was written before the begin is on the disk at the end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, SYNC_BEGIN, SYNC_END, CLOSE, ACCEPT, SENT, LINK, DUP, MAP, RMDIR };

struct record {
    uint32_t length; /* of what follows this head */
    uint32_t kind;
    int64_t fd, a, b;
};

#define FDS 65536
enum { NOTHING, DATA, SOCKET };
static unsigned char kind_of[FDS];
static useconds_t slow_micros;
static char blind[FDS]; /* bit 0: fsync of it is not seen, bit 1: fdatasync */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, count_fd = -1;
static char root[PATH_MAX], full_path[PATH_MAX], blind_end[256], fail_class[16];
static size_t root_length;
static int blind_fdata, fail_errno;
static long fail_at = -1, fail_count, calls;
static int64_t syncs;

#define REAL(name) ((__typeof__(&name))real_##name())
#define FIND(name)                                                     \
    static void *real_##name(void) {                                   \
        static void *found;                                            \
        if (!found) found = dlsym(RTLD_NEXT, #name);                   \
        return found;                                                  \
    }
FIND(open) FIND(open64) FIND(openat) FIND(openat64) FIND(close) FIND(write) FIND(pwrite) FIND(writev) FIND(pwritev)
FIND(ftruncate) FIND(fallocate) FIND(posix_fallocate) FIND(rename) FIND(unlink) FIND(unlinkat) FIND(mkdir) FIND(rmdir) FIND(link)
FIND(fsync) FIND(fdatasync) FIND(sync_file_range) FIND(accept) FIND(accept4) FIND(send) FIND(sendto) FIND(sendmsg) FIND(fcntl)
FIND(fcntl64) FIND(copy_file_range)

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("RECORD_ROOT");
    if (text && !realpath(text, root)) snprintf(root, sizeof root, "%s", text);
    root_length = strlen(root);
    if ((text = getenv("RECORD_LOG"))) log_fd = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((text = getenv("RECORD_COUNT"))) count_fd = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if ((text = getenv("RECORD_SLOW"))) slow_micros = strtoul(text, NULL, 10);
    if ((text = getenv("RECORD_FULL"))) snprintf(full_path, sizeof full_path, "%s", text);
    if ((text = getenv("RECORD_BLIND"))) {
        const char *colon = strchr(text, ':');
        blind_fdata = !strncmp(text, "fdatasync", 9);
        if (colon) snprintf(blind_end, sizeof blind_end, "%s", colon + 1);
    }
    if ((text = getenv("RECORD_FAIL"))) sscanf(text, "%ld:%ld:%d:%15s", &fail_at, &fail_count, &fail_errno, fail_class);
}

static int ends(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return b && a >= b && !strcmp(text + a - b, end);
}

static void put(int kind, int64_t fd, int64_t a, int64_t b, const void *bytes, size_t length) {
    if (log_fd < 0) return;
    struct record head = {(uint32_t)length, (uint32_t)kind, fd, a, b};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (syscall(SYS_writev, log_fd, parts, length ? 2 : 1) != (long)(sizeof head + length)) {
        static const char told[] = "recorder: the log cannot be written\n";
        syscall(SYS_write, 2, told, sizeof told - 1);
        _exit(97);
    }
}

/* The absolute path of a name, or NULL when it is not watched. */
static const char *watched(int folder, const char *path, char *place) {
    if (!root_length) return NULL;
    if (path[0] == '/') snprintf(place, PATH_MAX, "%s", path);
    else {
        char of[64], base[PATH_MAX];
        snprintf(of, sizeof of, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(of, base, sizeof base - 1);
        if (length < 0) return NULL;
        base[length] = 0;
        if (length + strlen(path) + 2 > PATH_MAX) return NULL;
        strcpy(place, base);
        strcat(place, "/");
        strcat(place, path);
    }
    if (strncmp(place, root, root_length) || (place[root_length] && place[root_length] != '/')) return NULL;
    return place;
}

static int is_data(int fd) { return fd >= 0 && fd < FDS && kind_of[fd] == DATA; }

static int is_full(void) { return full_path[0] && !syscall(SYS_access, full_path, F_OK); }

/* Whether this call is the one to fail. The lock is held. */
static int fails(const char *class) {
    int grows = !strcmp(class, "write") || !strcmp(class, "open");
    if (grows && is_full()) {
        /* The last room goes to a part of one write, as on a real disk. */
        static int taken;
        if (!strcmp(class, "write") && !taken++) return 2;
        errno = ENOSPC;
        return 1;
    }
    int is_short = !strcmp(fail_class, "short");
    if (!fail_class[0]) return 0;
    if (is_short ? strcmp(class, "write") : (strcmp(fail_class, "any") && strcmp(fail_class, class))) return 0;
    calls++;
    if (count_fd >= 0) {
        char text[32];
        int length = snprintf(text, sizeof text, "%ld\n", calls);
        syscall(SYS_pwrite64, count_fd, text, (size_t)length, 0L);
    }
    if (calls < fail_at || calls >= fail_at + fail_count) return 0;
    if (is_short) return 2;
    errno = fail_errno;
    return 1;
}

static void opened(int fd, const char *path, int flags) {
    if (fd < 0 || fd >= FDS) return;
    kind_of[fd] = DATA;
    blind[fd] = ends(path, blind_end) ? (blind_fdata ? 2 : 1) : 0;
    put(OPEN, fd, flags, 0, path, strlen(path));
}

#define OPENS(call)                                                                          \
    char place[PATH_MAX];                                                                    \
    int mode = 0;                                                                            \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                     \
        va_list more;                                                                        \
        va_start(more, flags);                                                               \
        mode = va_arg(more, int);                                                            \
        va_end(more);                                                                        \
    }                                                                                        \
    const char *found = watched(FOLDER, path, place);                                        \
    if (!found) return call;                                                                 \
    pthread_mutex_lock(&lock);                                                               \
    int fd = -1;                                                                             \
    if (!(((flags & O_CREAT) || !strcmp(fail_class, "any") || fail_errno == EMFILE) && fails("open"))) { \
        fd = call;                                                                           \
        int saved = errno;                                                                   \
        opened(fd, found, flags);                                                            \
        errno = saved;                                                                       \
    }                                                                                        \
    pthread_mutex_unlock(&lock);                                                             \
    return fd;

#define FOLDER AT_FDCWD
int open(const char *path, int flags, ...) { OPENS(REAL(open)(path, flags, mode)) }
int open64(const char *path, int flags, ...) { OPENS(REAL(open64)(path, flags, mode)) }
int creat(const char *path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
#undef FOLDER
#define FOLDER folder
int openat(int folder, const char *path, int flags, ...) { OPENS(REAL(openat)(folder, path, flags, mode)) }
int openat64(int folder, const char *path, int flags, ...) { OPENS(REAL(openat64)(folder, path, flags, mode)) }
#undef FOLDER

int close(int fd) {
    if (fd < 0 || fd >= FDS || !kind_of[fd]) return REAL(close)(fd);
    pthread_mutex_lock(&lock);
    put(CLOSE, fd, 0, 0, NULL, 0);
    kind_of[fd] = NOTHING;
    int done = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

/* offset -1: at the file's own place. */
static ssize_t written(int fd, const struct iovec *parts, int many, off_t offset, int appended) {
    size_t length = 0;
    for (int i = 0; i < many; i++) length += parts[i].iov_len;
    pthread_mutex_lock(&lock);
    ssize_t done = -1;
    int failing = fails("write");
    if (failing != 1) {
        char *bytes = malloc(length ? length : 1), *at = bytes;
        for (int i = 0; i < many; i++) {
            memcpy(at, parts[i].iov_base, parts[i].iov_len);
            at += parts[i].iov_len;
        }
        size_t take = failing == 2 && length > 1 ? length / 2 : length;
        off_t place = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);
        if (offset < 0 && appended) place = lseek(fd, 0, SEEK_END);
        done = offset >= 0 ? syscall(SYS_pwrite64, fd, bytes, take, offset) : syscall(SYS_write, fd, bytes, take);
        int saved = errno;
        if (done > 0) put(WRITE, fd, place, 0, bytes, (size_t)done);
        free(bytes);
        errno = saved;
    }
    pthread_mutex_unlock(&lock);
    return done;
}

static void sent(int fd, ssize_t done, const void *bytes) {
    if (done <= 0) return;
    int saved = errno;
    put(SENT, fd, done, 0, bytes, bytes ? (size_t)done : 0);
    errno = saved;
}
/* What is told to a client must be in the log before the client can act on it, and behind what made it true. */
#define TELLS(call, bytes)                  \
    pthread_mutex_lock(&lock);              \
    ssize_t done = call;                    \
    sent(fd, done, bytes);                  \
    pthread_mutex_unlock(&lock);            \
    return done;

static int is_socket(int fd) { return fd >= 0 && fd < FDS && kind_of[fd] == SOCKET; }

ssize_t write(int fd, const void *bytes, size_t length) {
    struct iovec part = {(void *)bytes, length};
    if (is_data(fd)) return written(fd, &part, 1, -1, fcntl(fd, F_GETFL) & O_APPEND);
    if (fd == 1 && log_fd >= 0) { TELLS(REAL(write)(fd, bytes, length), bytes) }
    if (is_socket(fd)) { TELLS(REAL(write)(fd, bytes, length), NULL) }
    return REAL(write)(fd, bytes, length);
}
ssize_t writev(int fd, const struct iovec *parts, int many) {
    if (is_data(fd)) return written(fd, parts, many, -1, fcntl(fd, F_GETFL) & O_APPEND);
    if (is_socket(fd)) { TELLS(REAL(writev)(fd, parts, many), NULL) }
    return REAL(writev)(fd, parts, many);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    struct iovec part = {(void *)bytes, length};
    return is_data(fd) ? written(fd, &part, 1, offset, 0) : REAL(pwrite)(fd, bytes, length, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }
ssize_t pwritev(int fd, const struct iovec *parts, int many, off_t offset) {
    return is_data(fd) ? written(fd, parts, many, offset, 0) : REAL(pwritev)(fd, parts, many, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int many, off64_t offset) { return pwritev(fd, parts, many, offset); }

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    if (!is_socket(fd)) return REAL(send)(fd, bytes, length, flags);
    TELLS(REAL(send)(fd, bytes, length, flags), NULL)
}
ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    if (!is_socket(fd)) return REAL(sendto)(fd, bytes, length, flags, to, size);
    TELLS(REAL(sendto)(fd, bytes, length, flags, to, size), NULL)
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!is_socket(fd)) return REAL(sendmsg)(fd, message, flags);
    TELLS(REAL(sendmsg)(fd, message, flags), NULL)
}

static int accepted(int fd) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (fd >= 0 && fd < FDS) {
        int port = 0;
        if (!getpeername(fd, (struct sockaddr *)&peer, &size) && peer.ss_family == AF_INET) port = ntohs(((struct sockaddr_in *)&peer)->sin_port);
        pthread_mutex_lock(&lock);
        kind_of[fd] = SOCKET;
        put(ACCEPT, fd, port, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}
static int accept_fails(void) {
    pthread_mutex_lock(&lock);
    int failing = (!strcmp(fail_class, "accept") || fail_errno == EMFILE) && fails("accept");
    pthread_mutex_unlock(&lock);
    return failing;
}
int accept(int fd, struct sockaddr *peer, socklen_t *size) { return accept_fails() ? -1 : accepted(REAL(accept)(fd, peer, size)); }
int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags) {
    return accept_fails() ? -1 : accepted(REAL(accept4)(fd, peer, size, flags));
}

/* A change of a name or a length: made and logged under the lock. */
#define CHANGES(class, type, call, record)                 \
    pthread_mutex_lock(&lock);                             \
    type done = -1;                                        \
    if (!fails(class)) {                                   \
        done = call;                                       \
        int saved = errno;                                 \
        if (!done) record;                                 \
        errno = saved;                                     \
    }                                                      \
    pthread_mutex_unlock(&lock);                           \
    return done;

int ftruncate(int fd, off_t length) {
    if (!is_data(fd)) return REAL(ftruncate)(fd, length);
    CHANGES("write", int, REAL(ftruncate)(fd, length), put(TRUNCATE, fd, length, 0, NULL, 0))
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }
int fallocate(int fd, int mode, off_t offset, off_t length) {
    if (!is_data(fd)) return REAL(fallocate)(fd, mode, offset, length);
    errno = EOPNOTSUPP; /* not modelled: the program must do without */
    return -1;
}
int posix_fallocate(int fd, off_t offset, off_t length) { return is_data(fd) ? EOPNOTSUPP : REAL(posix_fallocate)(fd, offset, length); }
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    if (!is_data(to)) return REAL(copy_file_range)(from, from_at, to, to_at, length, flags);
    errno = EXDEV;
    return -1;
}

static void put_two(int kind, const char *from, const char *to) {
    char both[2 * PATH_MAX];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    put(kind, 0, (int64_t)strlen(from), 0, both, (size_t)length);
}
int rename(const char *from, const char *to) {
    char one[PATH_MAX], two[PATH_MAX];
    const char *a = watched(AT_FDCWD, from, one), *b = watched(AT_FDCWD, to, two);
    if (!a || !b) return REAL(rename)(from, to);
    CHANGES("write", int, REAL(rename)(from, to), put_two(RENAME, a, b))
}
int link(const char *from, const char *to) {
    char one[PATH_MAX], two[PATH_MAX];
    const char *a = watched(AT_FDCWD, from, one), *b = watched(AT_FDCWD, to, two);
    if (!a || !b) return REAL(link)(from, to);
    CHANGES("write", int, REAL(link)(from, to), put_two(LINK, a, b))
}
int unlink(const char *path) {
    char place[PATH_MAX];
    const char *found = watched(AT_FDCWD, path, place);
    if (!found) return REAL(unlink)(path);
    CHANGES("unlink", int, REAL(unlink)(path), put(UNLINK, 0, 0, 0, found, strlen(found)))
}
int unlinkat(int folder, const char *path, int flags) {
    char place[PATH_MAX];
    const char *found = watched(folder, path, place);
    if (!found) return REAL(unlinkat)(folder, path, flags);
    CHANGES("unlink", int, REAL(unlinkat)(folder, path, flags), put(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, 0, found, strlen(found)))
}
int rmdir(const char *path) {
    char place[PATH_MAX];
    const char *found = watched(AT_FDCWD, path, place);
    if (!found) return REAL(rmdir)(path);
    CHANGES("unlink", int, REAL(rmdir)(path), put(RMDIR, 0, 0, 0, found, strlen(found)))
}
int mkdir(const char *path, mode_t mode) {
    char place[PATH_MAX];
    const char *found = watched(AT_FDCWD, path, place);
    if (!found) return REAL(mkdir)(path, mode);
    CHANGES("open", int, REAL(mkdir)(path, mode), put(MKDIR, 0, 0, 0, found, strlen(found)))
}

static int synced(int fd, int is_fdata) {
    pthread_mutex_lock(&lock);
    int failing = fails("sync");
    int seen = !(blind[fd] & (is_fdata ? 2 : 1));
    int64_t number = ++syncs;
    if (!failing && seen) put(SYNC_BEGIN, fd, number, is_fdata, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (failing) return -1;
    int done = is_fdata ? REAL(fdatasync)(fd) : REAL(fsync)(fd), saved = errno;
    if (is_fdata && slow_micros) usleep(slow_micros);
    pthread_mutex_lock(&lock);
    if (!done && seen) put(SYNC_END, fd, number, is_fdata, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}
int fsync(int fd) { return is_data(fd) ? synced(fd, 0) : REAL(fsync)(fd); }
int fdatasync(int fd) { return is_data(fd) ? synced(fd, 1) : REAL(fdatasync)(fd); }
/* Promises nothing about metadata or the disk's own cache: it is no sync. */
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) { return REAL(sync_file_range)(fd, offset, length, flags); }

static int duplicated(int fd, int done) {
    if (done >= 0 && done < FDS && fd >= 0 && fd < FDS && kind_of[fd]) {
        pthread_mutex_lock(&lock);
        kind_of[done] = kind_of[fd];
        blind[done] = blind[fd];
        put(DUP, fd, done, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
#define CONTROLS(name)                                                                         \
    int name(int fd, int command, ...) {                                                       \
        va_list more;                                                                          \
        va_start(more, command);                                                               \
        void *argument = va_arg(more, void *);                                                 \
        va_end(more);                                                                          \
        int done = ((int (*)(int, int, ...))real_##name())(fd, command, argument);             \
        return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, done) : done; \
    }
CONTROLS(fcntl)
CONTROLS(fcntl64)

/* A data file that is written through memory would not be seen: power.py accepts that of the index's -shm only. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    if (is_data(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        pthread_mutex_lock(&lock);
        put(MAP, fd, 0, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) { return mmap(at, length, protection, flags, fd, offset); }
