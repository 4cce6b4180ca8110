// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Names: programs and libraries that kernel callers and KJAX_IOC_OPEN find.
 *
 * One short list of nodes. Changes are made under a mutex; readers walk it under RCU and take a reference to what they
 * found. A node holds a reference and gives it up only after a grace period, so a reader never finds an
 * object whose count is zero. What was pinned last is found first.
 */
#include <linux/capability.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "kjax.h"

struct node {
	struct list_head list;
	char name[KJAX_NAME_MAX];
	struct kjax_program *program;	/* exactly one of these two */
	struct kjax_library *library;
};

static LIST_HEAD(nodes);
static DEFINE_MUTEX(registry_mutex);

static void node_free(struct node *node)
{
	if (node->program)
		kjax_program_put(node->program);
	if (node->library)
		kjax_library_put(node->library);
	kfree(node);
}

static struct node *find(const char *name)
{
	struct node *node;

	list_for_each_entry_rcu(node, &nodes, list, lockdep_is_held(&registry_mutex))
		if (!strcmp(node->name, name))
			return node;
	return NULL;
}

static bool drop(struct node *node)
{
	if (!node)
		return false;
	synchronize_rcu();
	node_free(node);
	return true;
}

int kjax_registry_pin(const char *name, struct kjax_program *program, struct kjax_library *library, bool replace)
{
	struct node *node, *old;

	node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	if (!node)
		return -ENOMEM;
	if (strscpy(node->name, name, sizeof(node->name)) <= 0) {
		kfree(node);
		return -EINVAL;
	}
	mutex_lock(&registry_mutex);
	old = find(name);
	if (old && !replace) {
		mutex_unlock(&registry_mutex);
		kfree(node);
		return -EEXIST;
	}
	node->program = program;
	node->library = library;
	if (program)
		kref_get(&program->ref);
	if (library)
		kref_get(&library->ref);
	list_add_rcu(&node->list, &nodes);	/* first: readers never miss both */
	if (old)
		list_del_rcu(&old->list);
	mutex_unlock(&registry_mutex);
	drop(old);
	return 0;
}

int kjax_registry_unpin(const char *name)
{
	struct node *node;

	mutex_lock(&registry_mutex);
	node = find(name);
	if (node)
		list_del_rcu(&node->list);
	mutex_unlock(&registry_mutex);
	return drop(node) ? 0 : -ENOENT;
}

void kjax_registry_unpin_library(const struct kjax_library *library)
{
	struct node *node, *found = NULL;

	mutex_lock(&registry_mutex);
	list_for_each_entry(node, &nodes, list) {
		if (node->library == library) {
			found = node;
			list_del_rcu(&node->list);
			break;
		}
	}
	mutex_unlock(&registry_mutex);
	drop(found);
}

struct kjax_program *kjax_registry_find(const char *transformation, const char *function, const char *signature,
					u32 nth)
{
	struct kjax_program *program = NULL;
	struct node *node;
	u32 before = 0, n;

	rcu_read_lock();
	list_for_each_entry_rcu(node, &nodes, list) {
		if (*transformation && node->library) {
			/* @nth counts through all libraries */
			n = kjax_library_count(node->library, transformation, function, signature);
			if (nth < before + n)
				program = kjax_library_find(node->library, transformation, function, signature,
							    nth - before);
			before += n;
		} else if (!*transformation && node->program && !nth && !strcmp(node->name, function)) {
			program = node->program;
			kref_get(&program->ref);
		}
		if (program)
			break;
	}
	rcu_read_unlock();
	return program;
}

/* Nobody can look any more: the device is gone, and modules that call us hold this one. */
void kjax_registry_exit(void)
{
	struct node *node, *next;

	list_for_each_entry_safe(node, next, &nodes, list)
		node_free(node);
	INIT_LIST_HEAD(&nodes);
}

static int pin(const struct kjax_pin *call)
{
	bool replace = call->flags & KJAX_PIN_REPLACE;
	struct kjax_library *library = NULL;
	struct kjax_program *program;
	int ret = -EBADF;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (call->flags == KJAX_PIN_REMOVE)
		return call->fd == -1 ? kjax_registry_unpin(call->name) : -EINVAL;
	if (call->flags & ~KJAX_PIN_REPLACE)
		return -EINVAL;
	program = kjax_program_of(call->fd);
	if (!program)
		library = kjax_library_of(call->fd);
	if (program || library)
		ret = kjax_registry_pin(call->name, program, library, replace);
	if (program)
		kjax_program_put(program);
	if (library)
		kjax_library_put(library);
	return ret;
}

long kjax_ioctl_pin(void __user *arg)
{
	struct kjax_pin call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	ret = -EINVAL;
	if (kjax_name_ok(call.name, false) && !call.reserved[0] && !call.reserved[1])
		ret = pin(&call);
	call.status = !ret ? KJX_OK : ret == -ENOMEM ? KJX_NO_MEMORY : KJX_BAD_CALL;
	return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
}

static int open_program(const struct kjax_open *call, const char *signature, struct kjax_program **program)
{
	struct kjax_library *library;

	if (call->library == -1) {
		*program = kjax_registry_find(call->transformation, call->function, signature, 0);
	} else {
		library = kjax_library_of(call->library);
		if (!library)
			return -EBADF;
		*program = kjax_library_find(library, call->transformation, call->function, signature, 0);
		kjax_library_put(library);
	}
	return *program ? 0 : -ENOENT;
}

static int find_and_open(const struct kjax_open *call, struct kjax_program **program)
{
	char *signature = NULL;
	int ret;

	if (call->flags || call->reserved || call->signature_bytes >= KJX_LIBRARY_SIGNATURE_MAX ||
	    !kjax_name_ok(call->transformation, true) || !kjax_name_ok(call->function, false))
		return -EINVAL;
	if (call->signature_bytes) {
		signature = memdup_user_nul(u64_to_user_ptr(call->signature), call->signature_bytes);
		if (IS_ERR(signature))
			return PTR_ERR(signature);
	}
	ret = open_program(call, signature, program);
	kfree(signature);
	return ret;
}

long kjax_ioctl_open(void __user *arg)
{
	struct kjax_program *program;
	struct kjax_open call;
	int ret = kjax_copy_in(&call, sizeof(call), arg);

	if (ret)
		return ret;
	call.fd = -1;
	ret = find_and_open(&call, &program);
	call.status = !ret ? KJX_OK : ret == -ENOMEM ? KJX_NO_MEMORY : KJX_BAD_CALL;
	if (ret)
		return kjax_copy_out(arg, &call, sizeof(call)) ?: ret;
	ret = kjax_fd_install("[kjax-program]", &kjax_program_fops, program, arg, &call, sizeof(call), &call.fd);
	if (ret)
		kjax_program_put(program);
	return ret;
}
