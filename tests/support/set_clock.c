/* The wall clock of one process, set wrong: LD_PRELOAD this, and the 8 bytes of the file named by
   SET_CLOCK_FILE are the seconds by which it is wrong. Steady clocks stay as they are, and so do
   waits until an instant of the wall clock, as they do where somebody sets it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *wrong_s;

__attribute__((constructor)) static void open_file(void) {
  const char *path = getenv("SET_CLOCK_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *at = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
  if (at != MAP_FAILED) wrong_s = at;
}

int clock_gettime(clockid_t id, struct timespec *at) {
  int failed = syscall(SYS_clock_gettime, id, at);
  if (!failed && wrong_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    at->tv_sec += *wrong_s;
  return failed;
}

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}

static struct timespec right(const struct timespec *until) {
  struct timespec found = *until;
  /* A steady clock counts from the boot and is nowhere near. */
  if (wrong_s && until->tv_sec > 1000000000) found.tv_sec -= *wrong_s;
  return found;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until) {
  static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  struct timespec found = right(until);
  if (!next) next = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  return next(cond, lock, &found);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
  static int (*next)(sem_t *, const struct timespec *);
  struct timespec found = right(until);
  if (!next) next = dlsym(RTLD_NEXT, "sem_timedwait");
  return next(semaphore, &found);
}

int cnd_timedwait(cnd_t *cond, mtx_t *lock, const struct timespec *until) {
  static int (*next)(cnd_t *, mtx_t *, const struct timespec *);
  struct timespec found = right(until);
  if (!next) next = dlsym(RTLD_NEXT, "cnd_timedwait");
  return next(cond, lock, &found);
}
