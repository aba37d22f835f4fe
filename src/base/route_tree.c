/* The radix tree of route patterns: a node is a segment, its children are literals in order, to be
 * searched by halving, and parameters, the most specific first. */
#include "zq/route.h"

#include <stdlib.h>

struct leaf {
    struct leaf *next; /* with other methods */
    struct zq_slice pattern, methods;
    void *user;
};

struct node {
    struct zq_route_piece piece;
    struct node **literals;
    size_t n_literals, room;
    struct node *parameters; /* chained by `next` */
    struct node *next;
    struct leaf *leaves;
};

struct zq_route_tree {
    struct zq_arena arena;
    struct node root;
};

struct zq_route_tree *zq_route_tree_new(void)
{
    return calloc(1, sizeof(struct zq_route_tree));
}

void zq_route_tree_free(struct zq_route_tree *tree)
{
    if (tree == NULL)
        return;
    zq_arena_fini(&tree->arena);
    free(tree);
}

/* ---- literals ---- */

static int compare(struct zq_slice a, struct zq_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* The order of literals, in which most are told apart by their length. */
static int place(struct zq_slice a, struct zq_slice b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n > 0 ? memcmp(a.p, b.p, a.n) : 0;
}

/* Where `text` is among the node's literals, or where it would be inserted. */
static size_t place_of(const struct node *node, struct zq_slice text, bool *found)
{
    size_t low = 0, high = node->n_literals;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = place(node->literals[middle]->piece.prefix, text);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool grow(struct zq_arena *arena, struct node *node)
{
    size_t room = node->room > 0 ? 2 * node->room : 4;
    struct node **more = zq_arena_alloc(arena, room * sizeof(struct node *));

    if (more == NULL)
        return false;
    if (node->n_literals > 0)
        memcpy(more, node->literals, node->n_literals * sizeof(struct node *));
    node->literals = more;
    node->room = room;
    return true;
}

static struct node *make_node(struct zq_arena *arena, const struct zq_route_piece *piece)
{
    struct node *node = zq_arena_alloc(arena, sizeof(*node));

    if (node != NULL)
        *node = (struct node){.piece = *piece};
    return node;
}

static struct node *literal_child(struct zq_arena *arena, struct node *node,
                                  const struct zq_route_piece *piece)
{
    bool found;
    size_t at = place_of(node, piece->prefix, &found);

    if (found)
        return node->literals[at];
    struct node *child = make_node(arena, piece);
    if (child == NULL || (node->n_literals == node->room && !grow(arena, node)))
        return NULL;
    memmove(node->literals + at + 1, node->literals + at,
            (node->n_literals - at) * sizeof(struct node *));
    node->literals[at] = child;
    node->n_literals++;
    return child;
}

/* ---- parameters ---- */

/* Before, with, or behind in the order in which they are tried; 0: the same shape. */
static int rank(const struct zq_route_piece *a, const struct zq_route_piece *b)
{
    size_t around_a = a->prefix.n + a->suffix.n, around_b = b->prefix.n + b->suffix.n;
    bool path_a = a->type == ZQ_ROUTE_PATH, path_b = b->type == ZQ_ROUTE_PATH;

    if (path_a != path_b)
        return path_a ? 1 : -1;
    if (around_a != around_b)
        return around_a > around_b ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if ((a->arguments.n > 0) != (b->arguments.n > 0))
        return a->arguments.n > 0 ? -1 : 1;
    int order = compare(a->arguments, b->arguments);
    if (order == 0)
        order = compare(a->prefix, b->prefix);
    return order != 0 ? order : compare(a->suffix, b->suffix);
}

static struct node *parameter_child(struct zq_arena *arena, struct node *node,
                                    const struct zq_route_piece *piece)
{
    struct node **at = &node->parameters;

    while (*at != NULL && rank(&(*at)->piece, piece) < 0)
        at = &(*at)->next;
    if (*at != NULL && rank(&(*at)->piece, piece) == 0)
        return *at;
    struct node *child = make_node(arena, piece);
    if (child == NULL)
        return NULL;
    child->next = *at;
    *at = child;
    return child;
}

/* ---- adding ---- */

static bool overlap(struct zq_slice a, struct zq_slice b)
{
    struct zq_slice some = a, method;

    while (zq_list_next(&some, &method))
        if (zq_route_answers(b, method))
            return true;
    for (some = b; zq_list_next(&some, &method);)
        if (zq_route_answers(a, method))
            return true;
    return false;
}

static int add_leaf(struct zq_arena *arena, struct node *node, struct leaf made, void **conflict)
{
    struct leaf **at = &node->leaves;

    for (; *at != NULL; at = &(*at)->next)
        if (overlap((*at)->methods, made.methods)) {
            *conflict = (*at)->user;
            return ZQ_EINVAL;
        }
    *at = zq_arena_alloc(arena, sizeof(made));
    if (*at == NULL)
        return ZQ_ENOMEM;
    **at = made;
    return 0;
}

int zq_route_tree_add(struct zq_route_tree *tree, struct zq_slice pattern, struct zq_slice methods,
                      void *user, void **conflict)
{
    struct node *node = &tree->root;
    struct zq_route_piece piece;

    *conflict = NULL;
    if (zq_route_fault(pattern) != NULL)
        return ZQ_EINVAL;
    struct zq_slice rest = zq_slice(pattern.p + 1, pattern.n - 1), segment;
    while (zq_route_segment(&rest, &segment)) {
        zq_route_piece(segment, &piece);
        node = piece.type == ZQ_ROUTE_LITERAL ? literal_child(&tree->arena, node, &piece)
                                              : parameter_child(&tree->arena, node, &piece);
        if (node == NULL)
            return ZQ_ENOMEM;
    }
    return add_leaf(&tree->arena, node,
                    (struct leaf){.pattern = pattern, .methods = methods, .user = user}, conflict);
}

/* ---- matching ---- */

struct search {
    struct zq_slice method;
    struct zq_slice values[ZQ_ROUTE_PARAMETERS_MAX];
    size_t n;
    const struct leaf *found;
};

static bool visit(struct search *s, const struct node *node, struct zq_slice rest);

static bool arrive(struct search *s, const struct node *node)
{
    for (const struct leaf *leaf = node->leaves; leaf != NULL; leaf = leaf->next)
        if (zq_route_answers(leaf->methods, s->method)) {
            s->found = leaf;
            return true;
        }
    return false;
}

static bool try_parameter(struct search *s, const struct node *child, struct zq_slice segment,
                          struct zq_slice rest, struct zq_slice all)
{
    bool is_path = child->piece.type == ZQ_ROUTE_PATH;

    if (!zq_route_piece_takes(&child->piece, is_path ? all : segment, &s->values[s->n]))
        return false;
    s->n++; /* a pattern has no more of them than there is room for */
    if (is_path ? arrive(s, child) : visit(s, child, rest))
        return true;
    s->n--;
    return false;
}

static bool visit(struct search *s, const struct node *node, struct zq_slice rest)
{
    struct zq_slice segment, all = rest;
    bool found;

    if (!zq_route_segment(&rest, &segment))
        return arrive(s, node);
    size_t at = place_of(node, segment, &found);
    if (found && visit(s, node->literals[at], rest))
        return true;
    for (const struct node *child = node->parameters; child != NULL; child = child->next)
        if (try_parameter(s, child, segment, rest, all))
            return true;
    return false;
}

/* Nodes are shared by patterns that call their parameters differently: names come from the one that
 * was found. */
static void name_parameters(const struct search *s, struct zq_route_match *out)
{
    struct zq_slice pattern = s->found->pattern, segment;
    struct zq_slice rest = zq_slice(pattern.p + 1, pattern.n - 1);

    *out = (struct zq_route_match){.user = s->found->user};
    while (zq_route_segment(&rest, &segment)) {
        struct zq_route_piece piece;
        zq_route_piece(segment, &piece);
        if (piece.type == ZQ_ROUTE_LITERAL)
            continue;
        out->parameters[out->n] =
            (struct zq_route_parameter){piece.type, piece.name, s->values[out->n]};
        out->n++;
    }
}

bool zq_route_tree_match(const struct zq_route_tree *tree, struct zq_slice path,
                         struct zq_slice method, struct zq_route_match *out)
{
    struct search s;

    s.method = method;
    s.n = 0;
    s.found = NULL;
    if (tree->root.n_literals == 0 && tree->root.parameters == NULL)
        return false;
    if (!zq_route_path_is_plain(path) || !visit(&s, &tree->root, zq_slice(path.p + 1, path.n - 1)))
        return false;
    name_parameters(&s, out);
    return true;
}
