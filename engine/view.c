// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Lanes of views (view.h): merging of dims at prepare time; strips moved run by run.
 *
 * Lane dims merge where the outer one's stride continues the inner one, so most views end up with one dim and need
 * no odometer at all. Offsets are computed modulo 2^64: for tensors the verifier has bounded them, iotas wrap.
 */
#include "view.h"

void kjx_view_lanes(struct kjx_builder *b, struct kjx_view *v, const u64 *dims, const s64 *strides, const u8 *order,
		    u32 n)
{
	u64 *dim = kjx_build(b, (n + 1) * sizeof(*dim));
	s64 *stride = kjx_build(b, (n + 1) * sizeof(*stride));
	u32 log2 = v->is_iota ? 0 : v->place.log2_size;
	u32 i, k = 0;

	for (i = 0; i < n; i++) {
		u64 d = dims[order[i]];
		s64 s = (s64)((u64)strides[order[i]] << log2);

		if (k && (u64)stride[k - 1] == (u64)s * d) {
			dim[k - 1] *= d;
			stride[k - 1] = s;
		} else {
			dim[k] = d;
			stride[k++] = s;
		}
	}
	if (!k) {		/* one lane */
		dim[0] = 1;
		stride[0] = 1ll << log2;
		k = 1;
	}
	v->dim = dim;
	v->stride = stride;
	v->n_dims = (u8)k;
	if (k > 1)
		v->lanes = KJX_LANES_RUNS;
	else if (!v->is_iota && stride[0] == 1ll << log2)
		v->lanes = KJX_LANES_DENSE;
	else if (!stride[0])
		v->lanes = KJX_LANES_SCALAR;
	else
		v->lanes = KJX_LANES_STRIDED;
}

void kjx_odometer_seek(const struct kjx_view *v, struct kjx_odometer *o, u64 lane)
{
	u32 d = v->n_dims - 1u;
	u64 rest = lane;

	o->lane = lane;
	o->run = 0;
	o->inner = 0;
	if (!lane) {
		kjx_memset(o->index, 0, d * sizeof(o->index[0]));
		return;
	}
	o->inner = rest % v->dim[d];
	rest /= v->dim[d];
	while (d--) {
		o->index[d] = d ? rest % v->dim[d] : rest;
		rest /= v->dim[d];
		o->run = (s64)((u64)o->run + o->index[d] * (u64)v->stride[d]);
	}
}

/* the innermost dim is through: on to the next run; after the last one, back to lane 0 */
void kjx_odometer_carry(const struct kjx_view *v, struct kjx_odometer *o)
{
	u32 d = v->n_dims - 1u;
	u64 run = (u64)o->run;

	o->inner = 0;
	while (d--) {
		run += (u64)v->stride[d];
		if (++o->index[d] < v->dim[d]) {
			o->run = (s64)run;
			return;
		}
		run -= v->dim[d] * (u64)v->stride[d];
		o->index[d] = 0;
	}
	o->run = 0;
	o->lane = 0;
}

/* Runs this short are not worth a call each: whole rows of them are moved column by column. */
#define SHORT_RUN 8u
#define MANY_RUNS 4u
#define MIDDLE_BYTES 1024u

/* runs of one element each, again and again, that the cpu table has a routine for */
static bool is_spread(const struct kjx_view *v, u32 log2)
{
	u32 d = v->n_dims - 1u;

	return !v->stride[d] && (log2 == 2 || log2 == 3) && v->dim[d] << log2 <= KJX_RUN_BYTES;
}

/* the number of whole short runs, one after the other along the next dim, in the lanes [lane, lane + n); 0: too few */
static u64 short_runs(const struct kjx_view *v, struct kjx_odometer *o, u64 lane, u64 n, u32 log2)
{
	u32 d = v->n_dims - 1u;
	u64 rows;

	if (v->lanes != KJX_LANES_RUNS || (v->dim[d] > SHORT_RUN && v->stride[d - 1] && !is_spread(v, log2)))
		return 0;
	if (o->lane != lane)
		kjx_odometer_seek(v, o, lane);
	if (o->inner || n < MANY_RUNS * v->dim[d])
		return 0;
	rows = kjx_min(n / v->dim[d], v->dim[d - 1] - o->index[d - 1]);
	return rows < MANY_RUNS ? 0 : rows;
}

/* the number of whole runs of neighbouring elements, in not so many bytes each, along the next dim; 0: none */
static u64 small_runs(const struct kjx_view *v, struct kjx_odometer *o, u64 lane, u64 n, u32 log2)
{
	u32 d = v->n_dims - 1u;

	if (v->lanes != KJX_LANES_RUNS || v->stride[d] != 1ll << log2 || v->dim[d] > MIDDLE_BYTES >> log2 || !v->stride[d - 1])
		return 0;
	if (o->lane != lane)
		kjx_odometer_seek(v, o, lane);
	return o->inner ? 0 : kjx_min(n / v->dim[d], v->dim[d - 1] - o->index[d - 1]);
}

/* whole runs that lie beside each other: a matrix whose columns are dense. Its columns, in the lanes [lane, lane + n); 0: too few */
static u64 columns(const struct kjx_view *v, struct kjx_odometer *o, u64 lane, u64 n, u32 log2)
{
	u32 d = v->n_dims - 1u;
	u64 beside;

	if (v->lanes != KJX_LANES_RUNS || v->stride[d - 1] != 1ll << log2 || !v->stride[d] || v->dim[d] < MANY_RUNS)
		return 0;
	if (o->lane != lane)
		kjx_odometer_seek(v, o, lane);
	beside = o->inner ? 0 : kjx_min(n / v->dim[d], v->dim[d - 1] - o->index[d - 1]);
	return beside < MANY_RUNS ? 0 : beside;
}

/* the same run of @n elements again and again: @total elements */
static void repeat(const struct kjx_cpu *cpu, u8 *dst, const u8 *from, s64 stride, u64 n, u64 total, u32 log2)
{
	u64 done;

	cpu->move(dst, 1ll << log2, from, stride, n, log2);
	for (done = n; done < total; done += n) {
		n = kjx_min(done, total - done);
		kjx_memcpy(dst + (done << log2), dst, n << log2);
	}
}

u64 kjx_view_period(const struct kjx_view *v)
{
	u64 period = 1;
	u32 d;

	if (v->lanes != KJX_LANES_RUNS || v->stride[0])
		return 0;
	for (d = 1; d < v->n_dims; d++)
		period *= v->dim[d];
	return period;
}

/* step over @rows runs */
static void skip_runs(const struct kjx_view *v, struct kjx_odometer *o, u64 rows)
{
	u32 d = v->n_dims - 1u;

	o->index[d - 1] += rows - 1;
	o->run = (s64)((u64)o->run + (rows - 1) * (u64)v->stride[d - 1]);
	o->lane += rows * v->dim[d];
	kjx_odometer_carry(v, o);
}

void kjx_view_gather(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, const u8 *cursor,
		     u64 lane, u64 n, void *to)
{
	u32 log2 = v->place.log2_size, d = v->n_dims - 1u;
	u8 *dst = to;

	while (n) {
		u64 small = small_runs(v, o, lane, n, log2), rows = small ? small : short_runs(v, o, lane, n, log2);
		u64 turned = rows ? 0 : columns(v, o, lane, n, log2), m = (rows | turned) * v->dim[d], k;
		s64 offset, stride;

		if (turned) {
			cpu->turn(dst, (s64)(v->dim[d] << log2), cursor + o->run, v->stride[d], turned, v->dim[d], log2);
		} else if (small) {
			cpu->runs(dst, (s64)(v->dim[d] << log2), cursor + o->run, v->stride[d - 1], v->dim[d] << log2, rows);
		} else if (rows && is_spread(v, log2)) {
			cpu->spread(dst, v->dim[d] << log2, cursor + o->run, v->stride[d - 1], rows, log2);
		} else if (rows && !v->stride[d - 1]) {
			repeat(cpu, dst, cursor + o->run, v->stride[d], v->dim[d], m, log2);
		} else {
			for (k = 0; rows && k < v->dim[d]; k++)
				cpu->move(dst + (k << log2), (s64)(v->dim[d] << log2),
					  cursor + o->run + (s64)k * v->stride[d], v->stride[d - 1], rows, log2);
		}
		if (rows | turned) {
			skip_runs(v, o, rows | turned);
		} else {
			m = kjx_view_run(v, o, lane, n, &offset, &stride);
			cpu->move(dst, 1ll << log2, cursor + offset, stride, m, log2);
		}
		dst += m << log2;
		lane += m;
		n -= m;
	}
}

void kjx_view_scatter(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, u8 *cursor,
		      u64 lane, u64 n, const void *from)
{
	u32 log2 = v->place.log2_size, d = v->n_dims - 1u;
	const u8 *src = from;

	while (n) {
		u64 small = small_runs(v, o, lane, n, log2), rows = small ? small : short_runs(v, o, lane, n, log2);
		u64 turned = rows ? 0 : columns(v, o, lane, n, log2), m = (rows | turned) * v->dim[d], k;
		s64 offset, stride;

		if (turned)
			cpu->turn(cursor + o->run, v->stride[d], src, (s64)(v->dim[d] << log2), v->dim[d], turned, log2);
		else if (small)
			cpu->runs(cursor + o->run, v->stride[d - 1], src, (s64)(v->dim[d] << log2), v->dim[d] << log2, rows);
		for (k = 0; !small && rows && k < v->dim[d]; k++)
			cpu->move(cursor + o->run + (s64)k * v->stride[d], v->stride[d - 1], src + (k << log2),
				  (s64)(v->dim[d] << log2), rows, log2);
		if (rows | turned) {
			skip_runs(v, o, rows | turned);
		} else {
			m = kjx_view_run(v, o, lane, n, &offset, &stride);
			cpu->move(cursor + offset, stride, src, 1ll << log2, m, log2);
		}
		src += m << log2;
		lane += m;
		n -= m;
	}
}

void kjx_view_iota(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, u64 cursor, u64 lane,
		   u64 n, u32 log2, void *to)
{
	u8 *dst = to;

	while (n) {
		s64 offset, stride;
		u64 m = kjx_view_run(v, o, lane, n, &offset, &stride);

		if (log2 == 2)
			cpu->iota32((s32 *)dst, (s64)(cursor + (u64)offset), stride, m);
		else
			cpu->iota64((s64 *)dst, (s64)(cursor + (u64)offset), stride, m);
		dst += m << log2;
		lane += m;
		n -= m;
	}
}

void kjx_splat(const struct kjx_cpu *cpu, void *to, const void *from, u64 n, u32 log2_size)
{
	cpu->move(to, 1ll << log2_size, from, 0, n, log2_size);
}
