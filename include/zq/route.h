/* room: base
 *
 * Routes that an application declares: what a declaration says, and a radix tree of their patterns,
 * one node a path segment, that the worker (direct calls) and the front (key rules, static
 * responses) both ask. Pure: no I/O, no lock.
 *
 * A pattern is a path with typed parameters: `/company/<int:id>/<name>.json`. A segment holds at
 * most one, with literal bytes before and behind it:
 *
 *   <name>, <str:name>  one or more bytes        <uuid:name>     8-4-4-4-12 hexadecimal digits
 *   <int:name>          decimal digits           <slug:name>     letters, digits, `-` and `_`
 *   <float:name>        digits, a point, digits  <any(a,b):name> one of these
 *   <chars(a-z.):name>  one or more of these     <path:name>     what is left of the path, with its
 *                                                                slashes; only at the pattern's end
 *
 * A type may be narrowed, or opened, by arguments: `<int(min=1,max=99):day>`.
 *
 *   length=, minlength=, maxlength=  bytes; all but any, float and uuid. minlength=0: may be empty
 *   min=, max=                       the value of an int, of up to 18 digits
 *   signed                           an int or a float may begin with `-`
 *   lower                            no capitals in a uuid
 *   loose                            a float may lack point and fraction, a uuid any of its dashes
 *
 * Segment by segment from the left: a literal before a parameter; among parameters the one with
 * more literal bytes around it, then by type in the order of ZQ_ROUTE_TYPES, then the one with
 * arguments, but a path behind all others. Where a choice leads to no route, the next is tried.
 *
 * Only a path that normalisation leaves unchanged is matched, as raw bytes: it begins with `/`, and
 * has no escape, no `;` or `\`, no dot segment and no empty segment but the last. Every other path
 * matches nothing, and so goes to the application as it came.
 */
#ifndef ZQ_ROUTE_H
#define ZQ_ROUTE_H

#include "zq/base.h"
#include "zq/field.h"

#define ZQ_ROUTE_PATTERN_MAX 2048 /* bytes */
#define ZQ_ROUTE_PARAMETERS_MAX 16
#define ZQ_ROUTE_LIST_MAX 64 /* names in one list of a rule */

/* ---- declarations ---- */

/*    kind, word */
#define ZQ_ROUTE_KINDS(X)                                                                          \
    X(CACHED, "cached") /* its view's responses say that they are for the cache */                 \
    X(DIRECT, "direct") /* a function that the worker calls without the application */             \
    X(STATIC, "static") /* a response made at start, which the front replays */

enum zq_route_kind {
#define X(name, word) ZQ_ROUTE_##name,
    ZQ_ROUTE_KINDS(X)
#undef X
        ZQ_ROUTE_KIND_COUNT
};
const char *zq_route_word(enum zq_route_kind kind);

struct zq_slices {
    struct zq_slice *v;
    size_t n;
};

/* What of a request belongs to the cache's key; the application sees nothing else of it. */
struct zq_key_rule {
    bool has_query, has_cookies;   /* unset: all that there are count */
    struct zq_slices query;        /* names of parameters that count */
    struct zq_slices ignore_query; /* globs of names that do not, where has_query is unset */
    struct zq_slices cookies;      /* names of cookies that count */
    struct zq_slices headers;      /* names of fields that select, as in Vary */
};

struct zq_route {
    enum zq_route_kind kind;
    struct zq_slice path;    /* the pattern */
    struct zq_slice methods; /* separated by commas; GET answers HEAD, too */
    struct zq_slice why;     /* for people: `myapp.views.summary` */
    struct zq_key_rule rule;
    /* STATIC: the response; else 0 and empty */
    unsigned status;
    struct zq_fields fields;
    struct zq_slice body;
};

/* Is `method` among `methods`, or HEAD where GET is? */
bool zq_route_answers(struct zq_slice methods, struct zq_slice method);

/* ---- the tree ---- */

/*    type, word, the arguments that it takes: as src/base/route_piece.c has them */
#define ZQ_ROUTE_TYPES(X)                                                                          \
    X(ANY, "any", ITEMS)                                                                           \
    X(INT, "int", LENGTH | VALUE | SIGNED)                                                         \
    X(FLOAT, "float", SIGNED | LOOSE)                                                              \
    X(UUID, "uuid", LOWER | LOOSE)                                                                 \
    X(CHARS, "chars", SET | LENGTH)                                                                \
    X(SLUG, "slug", LENGTH)                                                                        \
    X(STR, "str", LENGTH)                                                                          \
    X(PATH, "path", LENGTH)

enum zq_route_type {
#define X(name, word, takes) ZQ_ROUTE_##name,
    ZQ_ROUTE_TYPES(X)
#undef X
        ZQ_ROUTE_LITERAL /* no parameter */
};

struct zq_route_parameter {
    enum zq_route_type type;
    struct zq_slice name, value; /* of the pattern, of the path */
};

struct zq_route_match {
    void *user; /* what zq_route_tree_add was given */
    size_t n;
    struct zq_route_parameter parameters[ZQ_ROUTE_PARAMETERS_MAX];
};

struct zq_route_tree;
struct zq_route_tree *zq_route_tree_new(void); /* NULL when out of memory */
void zq_route_tree_free(struct zq_route_tree *tree);

/* NULL, or what is wrong with a pattern, for a person: `has two parameters in one segment`. */
const char *zq_route_fault(struct zq_slice pattern);
/* `pattern` and `methods` are borrowed for the tree's life. 0, ZQ_ENOMEM, or ZQ_EINVAL: the pattern
 * has a fault, or (`*conflict`, else NULL) the route with that `user` has the same shape and
 * answers one of the methods, too. */
int zq_route_tree_add(struct zq_route_tree *tree, struct zq_slice pattern, struct zq_slice methods,
                      void *user, void **conflict);
/* The best route for a raw path and a method. `out` borrows from the tree and the path. The work is
 * bounded by the nodes of the tree, each of which is looked at once at most. */
bool zq_route_tree_match(const struct zq_route_tree *tree, struct zq_slice path,
                         struct zq_slice method, struct zq_route_match *out);

/* What a match is made of, for those who look at patterns one by one. */

/* Takes a segment off a path or a pattern behind its first `/`; false at the end. */
bool zq_route_segment(struct zq_slice *rest, struct zq_slice *segment);
/* What a parameter's arguments say, or what holds without them. */
struct zq_route_bounds {
    uint64_t min_length, max_length; /* bytes */
    int64_t min, max;                /* of an INT */
    bool is_signed, is_lower, is_loose;
    uint64_t set[2]; /* of CHARS and SLUG: a bit for each byte of ASCII */
};
struct zq_route_piece {
    enum zq_route_type type;
    struct zq_slice prefix, name, suffix; /* a LITERAL is all prefix */
    struct zq_slice arguments;            /* as they are written; empty: none */
    struct zq_route_bounds bounds;
};
/* A pattern's segment; NULL or its fault. */
const char *zq_route_piece(struct zq_slice segment, struct zq_route_piece *out);
/* Does it take `text`, a segment (for PATH what is left of the path)? `*value` is the parameter's.
 */
bool zq_route_piece_takes(const struct zq_route_piece *piece, struct zq_slice text,
                          struct zq_slice *value);
/* Can a path be matched at all? */
bool zq_route_path_is_plain(struct zq_slice path);

#endif
