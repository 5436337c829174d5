#include "orchestrator/control.h"

#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	CONTROL_LINE = 64 << 10,  /* a request is not longer */
	CONTROL_CLIENTS = 32,     /* at once */
	CONTROL_BEHIND = 4 << 20, /* bytes a client has not read: it is let go */
};

struct client {
	uv_pipe_t pipe; /* first */
	struct control *control;
	struct client *next;
	bool watches, closing;
	size_t n;
	char line[CONTROL_LINE];
};

struct control {
	uv_pipe_t server; /* first */
	int dirfd;        /* borrowed */
	const struct control_calls *calls;
	void *owner;
	struct client *clients;
	size_t n_clients;
	bool closing;
};

struct sending {
	uv_write_t req; /* first */
	char *text;
};

/* sun_path takes 108 bytes, the state directory's name may be longer: by its descriptor. */
static int control_address(int dirfd, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/socket", dirfd);
	return n < (int)sizeof(a->sun_path) ? 0 : -1;
}

static void on_client_closed(uv_handle_t *h)
{
	free(h);
}

static void client_close(struct client *cl)
{
	struct control *c = cl->control;
	if (cl->closing)
		return;
	cl->closing = true;
	for (struct client **at = &c->clients; *at; at = &(*at)->next)
		if (*at == cl) {
			*at = cl->next;
			break;
		}
	c->n_clients--;
	uv_close((uv_handle_t *)&cl->pipe, on_client_closed);
}

static void on_sent(uv_write_t *req, int status)
{
	struct sending *s = (struct sending *)req;
	(void)status; /* a client that is gone is seen when it is read from */
	free(s->text);
	free(s);
}

static void client_send(struct client *cl, const json_t *j)
{
	struct sending *s = own_calloc(1, sizeof(*s));
	auto_free char *text = json_dumps(j, JSON_COMPACT);
	s->text = own_fmt("%s\n", text ? text : "{}");
	uv_buf_t buf = uv_buf_init(s->text, (unsigned)strlen(s->text));
	if (uv_stream_get_write_queue_size((uv_stream_t *)&cl->pipe) > CONTROL_BEHIND ||
	    uv_write(&s->req, (uv_stream_t *)&cl->pipe, &buf, 1, on_sent)) {
		on_sent(&s->req, 0);
		client_close(cl);
	}
}

static void client_answer(struct client *cl, bool ok, const char *says)
{
	json_t *j = json_pack("{s:b, s:s}", "ok", ok, "says", says);
	client_send(cl, j);
	json_decref(j);
}

static void client_snapshot(struct client *cl)
{
	json_t *j = cl->control->calls->snapshot(cl->control->owner);
	client_send(cl, j);
	json_decref(j);
}

static void client_line(struct client *cl, const char *line, size_t n)
{
	struct control *c = cl->control;
	json_error_t je;
	json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
	const char *what = json_string_value(json_object_get(j, "do"));
	if (!what) {
		client_answer(cl, false, "a request is a JSON object with \"do\"");
	} else if (!strcmp(what, "watch")) {
		cl->watches = true;
		client_snapshot(cl);
	} else {
		auto_free char *says = NULL;
		bool ok = c->calls->ask(c->owner, j, &says);
		client_answer(cl, ok, says ? says : "");
	}
	json_decref(j);
}

static void on_alloc(uv_handle_t *h, size_t wanted, uv_buf_t *buf)
{
	struct client *cl = (struct client *)h;
	(void)wanted;
	*buf = uv_buf_init(cl->line + cl->n, (unsigned)(sizeof(cl->line) - cl->n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *cl = (struct client *)stream;
	(void)buf;
	if (n < 0) {
		client_close(cl);
		return;
	}
	cl->n += (size_t)n;
	for (char *nl; !cl->closing && (nl = memchr(cl->line, '\n', cl->n));) {
		size_t line = (size_t)(nl - cl->line);
		client_line(cl, cl->line, line);
		cl->n -= line + 1;
		memmove(cl->line, nl + 1, cl->n);
	}
	if (!cl->closing && cl->n == sizeof(cl->line))
		client_close(cl);
}

/* The directory lets nobody else in; this is for who hands its descriptor around. */
static bool client_may(const struct client *cl)
{
	struct ucred who;
	socklen_t n = sizeof(who);
	uv_os_fd_t fd;
	return !uv_fileno((const uv_handle_t *)&cl->pipe, &fd) &&
	       !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) &&
	       (who.uid == geteuid() || who.uid == 0);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct control *c = (struct control *)server;
	if (status < 0 || c->closing)
		return;
	struct client *cl = own_calloc(1, sizeof(*cl));
	cl->control = c;
	uv_pipe_init(server->loop, &cl->pipe, 0);
	cl->next = c->clients;
	c->clients = cl;
	c->n_clients++;
	if (uv_accept(server, (uv_stream_t *)&cl->pipe) || c->n_clients > CONTROL_CLIENTS ||
	    !client_may(cl) || uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read))
		client_close(cl);
}

static void on_server_closed(uv_handle_t *h)
{
	free(h);
}

struct control *control_open(uv_loop_t *loop, int dirfd, const struct control_calls *calls,
			     void *owner, struct err *e)
{
	struct sockaddr_un a;
	if (dir_remove(dirfd, "socket", e)) {
		err_add(e, "the state directory's socket, as an earlier run left it");
		return NULL;
	}
	struct control *c = own_calloc(1, sizeof(*c));
	*c = (struct control){.dirfd = dirfd, .calls = calls, .owner = owner};
	uv_pipe_init(loop, &c->server, 0);
	int rc = control_address(dirfd, &a) ? UV_ENAMETOOLONG : 0;
	mode_t mask = umask(0177);
	if (!rc)
		rc = uv_pipe_bind(&c->server, a.sun_path);
	umask(mask);
	if (!rc)
		rc = uv_listen((uv_stream_t *)&c->server, CONTROL_CLIENTS, on_connection);
	if (!rc)
		return c;
	err_set(e, ERR_SYS, "the state directory's socket: %s", uv_strerror(rc));
	uv_close((uv_handle_t *)&c->server, on_server_closed);
	return NULL;
}

void control_tick(struct control *c)
{
	for (struct client *cl = c->clients, *next; cl; cl = next) {
		next = cl->next;
		if (cl->watches)
			client_snapshot(cl);
	}
}

void control_close(struct control *c, const char *end)
{
	struct err ignored; /* the next start replaces it */
	if (!c || c->closing)
		return;
	c->closing = true;
	json_t *j = json_pack("{s:s}", "end", end);
	while (c->clients) {
		struct client *cl = c->clients;
		uv_buf_t buf;
		auto_free char *text = json_dumps(j, JSON_COMPACT);
		auto_free char *line = own_fmt("%s\n", text ? text : "{}");
		buf = uv_buf_init(line, (unsigned)strlen(line));
		/* As much as it takes at once: nobody is waited for. */
		if (cl->watches)
			uv_try_write((uv_stream_t *)&cl->pipe, &buf, 1);
		client_close(cl);
	}
	json_decref(j);
	if (dir_remove(c->dirfd, "socket", &ignored))
		fprintf(stderr, "assay: %s\n", ignored.text);
	uv_close((uv_handle_t *)&c->server, on_server_closed);
}

int control_connect(const char *state, struct err *e)
{
	struct sockaddr_un a;
	auto_fd int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dir < 0 && errno != ENOENT)
		return err_sys(e, "open state directory %s", state);
	if (fd < 0 || (dir >= 0 && control_address(dir, &a)))
		return err_sys(e, "socket");
	if (dir >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return give_fd(&fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(e, ERR_ABSENT, "no run is going on in %s", state);
	return err_sys(e, "ask the run that goes on");
}

int control_send(int fd, const json_t *request, struct err *e)
{
	auto_free char *text = json_dumps(request, JSON_COMPACT);
	auto_free char *line = own_fmt("%s\n", text ? text : "{}");
	for (size_t at = 0, n = strlen(line); at < n;) {
		ssize_t sent = send(fd, line + at, n - at, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return err_sys(e, "ask the run that goes on");
		at += sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}
