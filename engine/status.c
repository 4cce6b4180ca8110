// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the statuses are called and what they tell; the table is src/kjax/isa/status.py. */
#include "engine.h"

#define NAME(NAME, name, meaning) case KJX_##NAME: return name;
#define MEANING(NAME, name, meaning) case KJX_##NAME: return meaning;

const char *kjx_status_name(enum kjx_status status)
{
	switch (status) {
	KJX_STATUSES(NAME)
	}
	return "unknown";
}

const char *kjx_status_meaning(enum kjx_status status)
{
	switch (status) {
	KJX_STATUSES(MEANING)
	}
	return "a status that this engine does not know";
}
