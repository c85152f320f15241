/*
 * connector.c - the kernel's own notices of processes: the proc connector, a
 * multicast of netlink(7) (drivers/connector/cn_proc.c, linux/cn_proc.h).
 *
 * It takes CAP_NET_ADMIN (for the socket's buffer, and before Linux 6.6 to listen at
 * all), and the initial user, pid and network namespaces: the kernel says nothing to
 * a process of others, and would number processes as the initial one counts them.
 * So it is used only if the kernel has answered this very socket that it listens; in
 * another pid namespace that answer never comes, though notices may, where somebody
 * else listens. The answer is there by the time the request has been sent.
 *
 * Notices come in the order in which they happened to one process, and a birth
 * before anything that the child does.
 */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/connector.h"

/* Some ten thousand notices: the kernel counts its own overhead for each. */
#define BUFFER_SIZE    (8 << 20)
#define MESSAGE_SIZE   512
#define ANSWER_LIMIT   100 /* messages read to find the answer, */
#define ANSWER_WAIT_MS 100 /* each waited for that long */

static int socket_open(void)
{
    int opened = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (opened < 0) {
        return -1;
    }
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    const int size = BUFFER_SIZE;
    if (bind(opened, (const struct sockaddr *)&address, sizeof address) < 0) {
        close(opened);
        return -1;
    }
    if (setsockopt(opened, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) {
        setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    return opened;
}

static bool request_send(int socket, enum proc_cn_mcast_op request, uint32_t number)
{
    char message[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof request)]
        __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    const struct nlmsghdr header = {
        .nlmsg_len = NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof request),
        .nlmsg_type = NLMSG_DONE,
        .nlmsg_seq = number,
    };
    const struct cn_msg connector = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC},
                                     .seq = number,
                                     .ack = number,
                                     .len = sizeof request};
    memcpy(message, &header, sizeof header);
    memcpy(message + NLMSG_HDRLEN, &connector, sizeof connector);
    memcpy(message + NLMSG_HDRLEN + sizeof connector, &request, sizeof request);
    return send(socket, message, header.nlmsg_len, 0) == (ssize_t)header.nlmsg_len;
}

/*
 * The next event of the kernel's, or false with errno. What other processes send, who
 * may, is left out, and so is what is too short.
 */
static bool event_receive(int socket, struct cn_msg *connector, struct proc_event *event)
{
    for (;;) {
        char message[MESSAGE_SIZE];
        struct sockaddr_nl sender = {0};
        struct iovec part = {.iov_base = message, .iov_len = sizeof message};
        struct msghdr whole = {
            .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1};
        ssize_t length = recvmsg(socket, &whole, 0);
        if (length < 0 && errno == EINTR) {
            continue;
        }
        if (length < 0) {
            return false;
        }
        /* Kernels differ in the size of the union, which is the event's last part. */
        size_t shortest = offsetof(struct proc_event, event_data) + sizeof event->event_data.fork;
        size_t before = NLMSG_HDRLEN + sizeof *connector;
        if (sender.nl_pid != 0 || (size_t)length < before + shortest) {
            continue;
        }
        memcpy(connector, message + NLMSG_HDRLEN, sizeof *connector);
        if (connector->id.idx != CN_IDX_PROC || connector->id.val != CN_VAL_PROC) {
            continue;
        }
        size_t present = (size_t)length - before;
        *event = (struct proc_event){0};
        memcpy(event, message + before, present < sizeof *event ? present : sizeof *event);
        return true;
    }
}

/*
 * Whether the kernel says that it has done what was asked with that number: an answer
 * bears the next one (and a sequence number of the kernel's own, as all notices do).
 */
static bool answer_wait(int socket, uint32_t number)
{
    for (int count = 0; count < ANSWER_LIMIT; count++) {
        struct cn_msg connector;
        struct proc_event event;
        struct pollfd readable = {.fd = socket, .events = POLLIN};
        if (poll(&readable, 1, ANSWER_WAIT_MS) <= 0 || !event_receive(socket, &connector, &event)) {
            return false;
        }
        if (event.what == PROC_EVENT_NONE && connector.ack == number + 1) {
            return event.event_data.ack.err == 0;
        }
    }
    return false;
}

int connector_open(void)
{
    int socket = socket_open();
    uint32_t number;
    if (socket < 0) {
        return -1;
    }
    /* One that no other listener uses: all see all answers. */
    if (getrandom(&number, sizeof number, 0) == sizeof number &&
        request_send(socket, PROC_CN_MCAST_LISTEN, number) && answer_wait(socket, number)) {
        return socket;
    }
    close(socket);
    return -1;
}

void connector_close(int socket)
{
    /* Before Linux 6.6 the kernel does not see by itself that a listener has gone. */
    request_send(socket, PROC_CN_MCAST_IGNORE, 0);
    close(socket);
}

/* False for what no notice tells of: threads, and events of other kinds. */
static bool notice_of(const struct proc_event *event, struct notice *notice)
{
    *notice = (struct notice){.at_ns = (int64_t)event->timestamp_ns};
    /* The kernel's own values; the enumeration of an older header may lack some. */
    switch ((unsigned)event->what) {
    case PROC_EVENT_FORK:
        notice->kind = NOTICE_BORN;
        notice->pid = event->event_data.fork.child_tgid;
        notice->parent = event->event_data.fork.parent_tgid;
        return event->event_data.fork.child_pid == notice->pid;
    case PROC_EVENT_EXEC:
        notice->kind = NOTICE_EXECED;
        notice->pid = event->event_data.exec.process_tgid;
        return true;
    case PROC_EVENT_EXIT:
        notice->kind = NOTICE_EXITED;
        notice->pid = event->event_data.exit.process_tgid;
        return event->event_data.exit.process_pid == notice->pid;
    default:
        return false;
    }
}

size_t connector_read(int socket, struct notice *notices, size_t capacity)
{
    size_t count = 0;
    while (count < capacity) {
        struct cn_msg connector;
        struct proc_event event;
        if (event_receive(socket, &connector, &event)) {
            count += notice_of(&event, &notices[count]);
        } else if (errno == ENOBUFS) {
            /* netlink(7): messages did not fit, and are lost. */
            notices[count++] = (struct notice){.kind = NOTICE_MISSED};
        } else {
            break;
        }
    }
    return count;
}
