/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Libraries (.kjl): named functions with prebuilt transformations, each a whole program. docs/spec/library.md.
 *
 * Everything is little-endian, naturally aligned, and untrusted until kjx_library_open() has accepted it. That
 * proves the index only; each program is still untrusted and goes through kjx_verify().
 */
#ifndef KJX_LIBRARY_H
#define KJX_LIBRARY_H

#include "engine.h"

#define KJX_LIBRARY_MAX_ENTRIES	4096u
#define KJX_LIBRARY_NAME_MAX	64u		/* bytes of a function's or transformation's name, NUL included */
#define KJX_LIBRARY_SIGNATURE_MAX 65536u	/* bytes of a signature, NUL included */

/** struct kjx_library_header - first 64 bytes; the entries follow, then the strings, zeros to a multiple of 64, the programs
 * @magic:	"KJL\x1a"
 * @major:	must equal KJX_VERSION_MAJOR
 * @minor:	must not exceed KJX_VERSION_MINOR
 * @total:	length of the whole file in bytes
 * @n_entries:	1 to KJX_LIBRARY_MAX_ENTRIES
 * @string_bytes: length of the strings, each ends with NUL
 * @hash:	XXH64 over header (this field zero), entries, strings and the zeros after them
 */
struct kjx_library_header {
	u8 magic[4];
	u16 major, minor;
	u64 total;
	u32 n_entries, flags;
	u64 string_bytes, hash;
	u64 reserved[3];
};

/** struct kjx_library_entry - one program; sorted by function, transformation, signature, no two alike
 * @function, @transformation, @signature: where each begins in the strings
 * @zero:	zero
 * @offset:	of the program, from the file's start: programs follow each other without gaps, in this order
 * @bytes:	its length, a multiple of 64
 */
struct kjx_library_entry {
	u32 function, transformation, signature, zero;
	u64 offset, bytes;
};

/** struct kjx_library - an accepted library; points into its bytes */
struct kjx_library {
	const struct kjx_library_entry *entries;
	const char *strings;
	const u8 *bytes;
	u32 n_entries;
};

/** struct kjx_variant - one entry, resolved */
struct kjx_variant {
	const char *function, *transformation, *signature;
	const void *image;
	u64 bytes;
};

/** kjx_library_open - decide whether the index may be used
 * @bytes:	untrusted, 64-byte aligned, must not change as long as the library is used
 * @log:	may be NULL
 * Context: any; time linear in the index. No floating point.
 * Return: KJX_OK, KJX_TRUNCATED, KJX_BAD_MAGIC, KJX_BAD_VERSION, KJX_BAD_HASH, KJX_RESERVED_SET, KJX_BAD_SECTION
 * (an entry or string is out of place or order), KJX_TOO_LARGE.
 */
enum kjx_status kjx_library_open(const void *bytes, u64 n, struct kjx_library *library, struct kjx_log *log);

/** kjx_library_at - entry @number, which must be below n_entries */
void kjx_library_at(const struct kjx_library *library, u32 number, struct kjx_variant *variant);

/** kjx_library_find - the first entry from @from on that fits
 * @transformation: in any spelling that kjx_transformation_normalise() takes
 * @signature:	NULL: any
 * Return: its number, or ~0u.
 */
u32 kjx_library_find(const struct kjx_library *library, const char *function, const char *transformation,
		     const char *signature, u32 from);

/** kjx_transformation_normalise - the one spelling of a transformation
 * Names, each with options in brackets where it has some, wrap each other in parentheses: "jit(vmap[in_axes=0](grad))".
 * White space goes, and so does jit without options, since every program is compiled; alone it stays.
 * @out:	KJX_LIBRARY_NAME_MAX bytes
 * Return: false when @text is not such a chain, or too long.
 */
bool kjx_transformation_normalise(const char *text, char *out);

#endif
