// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Worker threads: one a CPU, shared by all runs. A run asks them to join; whoever comes helps, whoever is busy with
 * another run does not, and what nobody took up is taken back at the end. So a run never depends on a worker.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/smp.h>

#include "compat.h"
#include "kjax.h"

static unsigned int lanes;
module_param(lanes, uint, 0444);
MODULE_PARM_DESC(lanes, "worker threads (0: one for each online CPU)");

static struct kthread_worker *workers[KJX_MAX_LANES];
static u32 n_workers;

u32 kjax_lanes_count(void)
{
	return n_workers;
}

int kjax_lanes_init(void)
{
	u32 wanted = min_t(u32, lanes ?: num_online_cpus(), KJX_MAX_LANES);
	int cpu = -1;

	while (n_workers < wanted) {
		struct kthread_worker *worker;

		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		worker = kjax_worker_on(cpu);
		if (IS_ERR(worker)) {
			kjax_lanes_exit();
			return PTR_ERR(worker);
		}
		workers[n_workers++] = worker;
	}
	return 0;
}

void kjax_lanes_exit(void)
{
	while (n_workers)
		kthread_destroy_worker(workers[--n_workers]);
}

static void job(struct kthread_work *work)
{
	kjax_run_join(container_of(work, struct kjax_job, work)->run);
}

void kjax_lanes_queue(struct kjax_run *run)
{
	u32 first = raw_smp_processor_id() + 1, i;

	/* the caller's own CPU last */
	for (i = 0; i < run->n_jobs; i++) {
		kthread_init_work(&run->jobs[i].work, job);
		run->jobs[i].run = run;
		kthread_queue_work(workers[(first + i) % n_workers], &run->jobs[i].work);
	}
}

void kjax_lanes_cancel(struct kjax_run *run)
{
	u32 i;

	for (i = 0; i < run->n_jobs; i++)
		kthread_cancel_work_sync(&run->jobs[i].work);
}
