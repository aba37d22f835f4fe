/* Parts of a representation (RFC 9110 14, 15.3.7): what a stored 206 holds of it, which requests
 * that answers, and how two parts become a larger one or the whole (15.3.7.3, RFC 9111 3.3, 3.4).
 */
#ifndef ZQ_CACHE_PART_H
#define ZQ_CACHE_PART_H

#include "zq/cache.h"

struct zq_entry;

/* Parts are put together by copying them, and no more than this. */
#define ZQ_PART_COMBINED_MAX (4u << 20)

struct zq_part {
    uint64_t first, end; /* of `length` bytes, those from first up to but not including end */
    uint64_t length;
    bool exact; /* the content is what Content-Range says */
};

/* `bytes 0-4/10`; false when it is no such thing, or the length is not known. */
bool zq_part_parse(struct zq_slice content_range, struct zq_part *out);
/* Appends the field line that says so. 0 or ZQ_ENOMEM. */
int zq_part_put_range(struct zq_buf *out, const struct zq_part *part);
/* What a 206 with these fields holds; false when that is not known, or several parts. */
bool zq_part_of_fields(const struct zq_fields *response, struct zq_part *out);

/* What a 206 holds by its block, with `n` bytes of content. One that says that it goes up to the
 * end, and has fewer bytes than it says, ends where they end: see zq_part_is_sound. */
bool zq_part_of_block(struct zq_slice block, uint64_t n, struct zq_part *out);
/* May it be stored, now that its content is complete? One of another length than it says only when
 * it has no validator, by which anybody could put it together with others. */
bool zq_part_is_sound(const struct zq_entry *entry);

/* Does a stored part hold all that a GET asks for? */
bool zq_part_answers(const struct zq_entry *stored, const struct zq_fields *request);
/* May a GET for the whole be answered by a stored part and the rest of it? If so, from where on
 * that is to be asked for; 0 if not. */
uint64_t zq_part_rest(const struct zq_entry *stored);
/* Of the whole that a stored part belongs to. */
uint64_t zq_part_length(const struct zq_entry *stored);
/* Is a 206 that rest: of the same representation, and all of it? */
bool zq_part_is_rest(const struct zq_entry *stored, const struct zq_cache_response *rest);

/* Appends what a stored part has from one position in the representation to another. 0 or
 * ZQ_ENOMEM. */
int zq_part_copy(struct zq_writer *to, const struct zq_entry *from, uint64_t first, uint64_t end);

/* A complete 206 goes into the store, together with the part that is stored already, if they make
 * one. */
void zq_part_complete(struct zq_entry *entry);

#endif
