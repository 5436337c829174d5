/* Ownership in words: a local that owns is declared auto_*, and give() hands what it owns to
 * someone else. Used everywhere, from any thread. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

static inline void own_free(void *pp)
{
	free(*(void **)pp);
}

static inline void own_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void own_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* A pointer from malloc, freed when the scope ends. Initialise it where it is declared. */
#define auto_free __attribute__((cleanup(own_free)))
/* A descriptor or -1, closed when the scope ends. */
#define auto_fd __attribute__((cleanup(own_close)))
/* A stdio stream or NULL, closed when the scope ends (for reading only: closing can lose a write
 * error). */
#define auto_file __attribute__((cleanup(own_fclose)))

/* give(p): the pointer p held; p itself is NULL afterwards, so that its owner frees nothing. */
#define give(p)                                                                                    \
	({                                                                                         \
		__auto_type give_ = (p);                                                           \
		(p) = NULL;                                                                        \
		give_;                                                                             \
	})

static inline int give_fd(int *fd)
{
	int given = *fd;
	*fd = -1;
	return given;
}

/* Memory that is never NULL: running out of it aborts, for every durable step survives a kill. */
void *own_alloc(size_t size) must_check;
void *own_calloc(size_t n, size_t size) must_check;
/* own_grow(p, n, size): p resized to n elements of size bytes; contents kept. */
void *own_grow(void *p, size_t n, size_t size) must_check;
char *own_dup(const char *s) must_check;
char *own_dup_n(const char *s, size_t n) must_check;
/* own_fmt(fmt, ...): a new string; the caller frees it. */
char *own_fmt(const char *fmt, ...) printf_like(1, 2) must_check;

/* own_return_large(): from now on what is large goes back to the system when it is freed. glibc
 * would raise its bound for that to as much as was ever freed (mallopt(3)), and what was needed for
 * a while would stay. Any number of times, by whoever needs much for a while. */
void own_return_large(void);

#define countof(a) (sizeof(a) / sizeof((a)[0]))
