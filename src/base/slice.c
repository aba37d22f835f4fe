#include "zq/base.h"
#include "zq/field.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool zq_slice_ieq(struct zq_slice a, struct zq_slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (zq_lower(a.p[i]) != zq_lower(b.p[i]))
            return false;
    return true;
}

struct zq_slice zq_slice_trim(struct zq_slice s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool zq_slice_next(struct zq_slice *rest, char mark, struct zq_slice *piece)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, mark, rest->n);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    size_t used = end != NULL ? n + 1 : n;
    *piece = zq_slice(rest->p, n);
    *rest = zq_slice(rest->p + used, rest->n - used);
    return true;
}

/* A byte of a text in pieces; behind the last one `piece` is `end`. */
struct place {
    const struct zq_slice *piece, *end;
    size_t i;
};

static void skip_to_byte(struct place *at)
{
    while (at->piece < at->end && at->i == at->piece->n) {
        at->piece++;
        at->i = 0;
    }
}

static void step(struct place *at)
{
    at->i++;
    skip_to_byte(at);
}

/* Goes back to the last star only: what an earlier one could take as well, this one can. */
bool zq_glob(struct zq_slice pattern, const struct zq_slice *pieces, size_t n)
{
    struct place at = {pieces, pieces + n, 0}, from;
    size_t p = 0, star = SIZE_MAX;

    skip_to_byte(&at);
    from = at;
    while (at.piece < at.end) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = at;
        } else if (p < pattern.n && pattern.p[p] == at.piece->p[at.i]) {
            p++;
            step(&at);
        } else if (star != SIZE_MAX) {
            p = star + 1;
            step(&from);
            at = from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

int zq_parse_u64(struct zq_slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    bool over = false;

    if (s.n == 0)
        return ZQ_EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return ZQ_EINVAL;
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value);
        over |= value > max;
    }
    *out = value;
    return over ? ZQ_ELIMIT : 0;
}

/* Eight bytes at a time: the high bit of each that is a capital. The high bits of the two sums say
 * "A or above" and "above Z". */
static uint64_t capitals(uint64_t word)
{
    const uint64_t each = UINT64_MAX / 0xff;
    uint64_t low = word & (each * 0x7f);
    uint64_t upper = (low + each * (0x80 - 'A')) ^ (low + each * (0x7f - 'Z'));

    return upper & ~word & (each * 0x80);
}

/* `n`: 4 or 8. */
static inline uint64_t word_at(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

static inline void lower_word(char *p, size_t n)
{
    uint64_t word = word_at(p, n);

    word |= capitals(word) >> 2;
    memcpy(p, &word, n);
}

/* The last word may have some bytes again, which changes nothing. */
void zq_to_lower(char *p, size_t n)
{
    for (size_t i = 0; i + 8 < n; i += 8)
        lower_word(p + i, 8);
    if (n >= 8) {
        lower_word(p + n - 8, 8);
    } else if (n >= 4) {
        lower_word(p, 4);
        lower_word(p + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            p[i] = zq_lower(p[i]);
    }
}

bool zq_is_lower(struct zq_slice s)
{
    size_t i = 0;
    uint64_t found = 0;

    for (; i + 8 <= s.n; i += 8)
        found |= capitals(word_at(s.p + i, 8));
    for (; i < s.n; i++)
        found |= zq_lower(s.p[i]) != s.p[i];
    return found == 0;
}

/* The length of the member at the start of `s`: up to a comma outside quoted strings (a backslash
 * inside quotes escapes, RFC 9110 5.6.4). */
static size_t member_length(struct zq_slice s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == ',' && !quoted)
            return i;
    }
    return s.n;
}

bool zq_list_next(struct zq_slice *list, struct zq_slice *member)
{
    while (list->n > 0) {
        size_t length = member_length(*list);
        *member = zq_slice_trim(zq_slice(list->p, length));
        size_t used = length < list->n ? length + 1 : length;
        list->p += used;
        list->n -= used;
        if (member->n > 0)
            return true;
    }
    return false;
}

const struct zq_field *zq_fields_find(const struct zq_fields *fields, struct zq_slice name,
                                      const struct zq_field *after)
{
    const struct zq_field *end = fields->v + fields->n;

    for (const struct zq_field *f = after ? after + 1 : fields->v; f < end; f++)
        if (zq_slice_ieq(f->name, name))
            return f;
    return NULL;
}

char *zq_put_number(char *to, uint64_t number)
{
    uint64_t bound = 10;
    int n = 1;

    for (; n < 20 && number >= bound; n++)
        bound *= 10;
    for (int i = n; i > 0; number /= 10)
        to[--i] = (char)('0' + number % 10);
    return to + n;
}
