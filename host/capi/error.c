// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>

#include "capi.h"

static _Thread_local char sentence[640];

int kjx_fail(int status, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(sentence, sizeof(sentence), format, values);
	va_end(values);
	return status;
}

const char *kjax_error(void)
{
	return sentence;
}

const char *kjax_status_string(int status)
{
	return kjx_status_meaning((enum kjx_status)status);
}

const char *kjax_version(void)
{
	return KJAX_VERSION;
}
