// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Counters, in /sys/class/misc/kjax/stats/: one copy for each CPU, added up when they are read.
 */
#include <linux/device.h>
#include <linux/percpu.h>

#include "kjax.h"

DEFINE_PER_CPU(struct kjax_stats, kjax_stats);

#define COUNTER(name)									\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)	\
{											\
	u64 sum = 0;									\
	int cpu;									\
											\
	for_each_possible_cpu(cpu)							\
		sum += READ_ONCE(per_cpu(kjax_stats, cpu).name);			\
	return sysfs_emit(buf, "%llu\n", sum);						\
}											\
static DEVICE_ATTR_RO(name)

COUNTER(runs);
COUNTER(failed);
COUNTER(sections);
COUNTER(section_ns);

static ssize_t longest_section_ns_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u64 longest = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		longest = max(longest, READ_ONCE(per_cpu(kjax_stats, cpu).longest_section_ns));
	return sysfs_emit(buf, "%llu\n", longest);
}
static DEVICE_ATTR_RO(longest_section_ns);

static ssize_t memory_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", kjax_memory_used());
}
static DEVICE_ATTR_RO(memory);

static struct attribute *attributes[] = {
	&dev_attr_runs.attr,
	&dev_attr_failed.attr,
	&dev_attr_sections.attr,
	&dev_attr_section_ns.attr,
	&dev_attr_longest_section_ns.attr,
	&dev_attr_memory.attr,
	NULL,
};

static const struct attribute_group group = {
	.name = "stats",
	.attrs = attributes,
};

const struct attribute_group *kjax_stats_groups[] = { &group, NULL };
