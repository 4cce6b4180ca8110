// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A kernel module that runs JAX functions.
 *
 *	modprobe kjax
 *	insmod kjax_sample.ko library=/lib/firmware/kjax/policy.kjl transformation=grad function=loss args='[[1,2,3],4]'
 *
 * It loads the library, runs the variant once by name with text, and says the result in the kernel's log. Then it takes
 * a reference to the program and runs it the way a hot path would: on memory of its own, from a timer, where
 * sleeping is forbidden. It is the shape of a driver that asks a learned policy.
 */
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>

#include "kjax/kernel.h"

static char *library = "";
module_param(library, charp, 0444);
MODULE_PARM_DESC(library, "path of a .kjl");
static char *transformation = "jit";
module_param(transformation, charp, 0444);
static char *function = "";
module_param(function, charp, 0444);
static char *args = "[]";
module_param(args, charp, 0444);
MODULE_PARM_DESC(args, "JSON list of the arguments");
static unsigned int in_bytes, out_bytes;
module_param(in_bytes, uint, 0444);
MODULE_PARM_DESC(in_bytes, "length of the only input, for the run in a timer; 0: none");
module_param(out_bytes, uint, 0444);
MODULE_PARM_DESC(out_bytes, "length of the only output");

/* The hot path: a tick that asks the policy. All memory was taken before. */
static struct hot {
	struct timer_list timer;
	struct completion done;
	struct kjax_program *program;
	struct kjax_value input, output;
	int ret;
} hot;

static void tick(struct timer_list *timer)
{
	hot.ret = kjax_program_execute_atomic(hot.program, &hot.input, 1, &hot.output, 1);
	if (hot.ret == -EAGAIN)		/* this tick interrupted somebody's FPU section: the next one will do */
		mod_timer(timer, jiffies + 1);
	else
		complete(&hot.done);
}

static int run_in_timer(void)
{
	hot.program = kjax_program_find(transformation, function, NULL);
	if (IS_ERR(hot.program))
		return PTR_ERR(hot.program);
	hot.input = (struct kjax_value){ kzalloc(in_bytes, GFP_KERNEL), in_bytes };
	hot.output = (struct kjax_value){ kzalloc(out_bytes, GFP_KERNEL), out_bytes };
	hot.ret = -ENOMEM;
	if (hot.input.data && hot.output.data) {
		memset(hot.input.data, 0x3f, in_bytes);	/* as f32: 0.7470588 */
		init_completion(&hot.done);
		timer_setup(&hot.timer, tick, 0);
		mod_timer(&hot.timer, jiffies + 1);
		wait_for_completion(&hot.done);
		pr_info("kjax_sample: timer: %d, %*ph\n", hot.ret, (int)min(out_bytes, 64u), hot.output.data);
	}
	kfree(hot.input.data);
	kfree(hot.output.data);
	kjax_program_release(hot.program);
	return hot.ret;
}

static int run_by_name(void)
{
	struct kjax_result *result = execute_jax_transformation(transformation, function, args);

	if (IS_ERR(result)) {
		pr_info("kjax_sample: %s of %s: error %ld\n", transformation, function, PTR_ERR(result));
		return PTR_ERR(result);
	}
	pr_info("kjax_sample: %s of %s: %s (%llu work units)\n", transformation, function, result->text, result->used);
	kjax_result_free(result);
	return 0;
}

static struct kjax_library *loaded;

static int __init sample_init(void)
{
	int ret;

	loaded = load_jax_library(library);
	if (IS_ERR(loaded)) {
		pr_info("kjax_sample: %s: error %ld\n", library, PTR_ERR(loaded));
		return PTR_ERR(loaded);
	}
	ret = run_by_name();
	if (!ret && in_bytes)
		ret = run_in_timer();
	if (ret)
		unload_jax_library(loaded);
	return ret;
}

static void __exit sample_exit(void)
{
	unload_jax_library(loaded);
}

module_init(sample_init);
module_exit(sample_exit);

MODULE_DESCRIPTION("Runs a JAX function in the kernel");
MODULE_LICENSE("Dual MIT/GPL");
