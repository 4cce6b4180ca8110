/* SPDX-License-Identifier: MIT */
/*
 * Helpers: threads of this process that do parts of other threads' runs (engine.h, kjx_team_start()).
 *
 * There is one crew in a process. It has as many helpers as the program that asked for most wants, from the first such program on
 * until the last one is closed, and no helper else. One run at a time has them; another one that comes meanwhile does its work alone.
 */
#ifndef KJX_HOST_CREW_H
#define KJX_HOST_CREW_H

#include "program.h"

/** kjx_crew_join - one more program wants @helpers of them. Return: false: a thread could not be had */
bool kjx_crew_join(u32 helpers);

/** kjx_crew_leave - it does not any more; after the last one's the helpers are gone */
void kjx_crew_leave(void);

/** kjx_crew_rouse - a run of much work begins: helpers that sleep had better wake up. Cheap when they are awake. */
void kjx_crew_rouse(void);

/** kjx_crew_work - the step at which kjx_run() returned KJX_PARTED
 * @threads:	seats of the team
 * @poll:	likewise for the calling thread: has the run to end? Called now and then, while no helper works
 * Return: KJX_OK when the step is done, or what @poll gave.
 */
enum kjx_status kjx_crew_work(struct kjx_vm *vm, u32 threads, enum kjx_status (*poll)(const struct kjx_run *run),
			      const struct kjx_run *run);

#endif
