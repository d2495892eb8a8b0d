/* An algorithm is a table of stages over blocks. A `map` turns a block of one client's parameters, gradient and states
 * into the messages it sends; MIX replaces messages by sums over neighbours; further maps make the new state. No
 * algorithm knows how many clients there are, where they live or which graph joins them.
 *
 * To add one: a file NAME.c with QGM_FAMILY(NAME), and the line QGM_FAMILY(NAME) in algos.def. The file includes
 * block.h, is compiled once per ISA and once in double (the reference engine), and so may call only static inline
 * functions of headers. dsgd.c is the one to read first. SPDX-License-Identifier: MIT */
#ifndef QGM_ALGO_H
#define QGM_ALGO_H
#include "isa.h"
#include "spec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QGM_MAX_STATES = 8, QGM_MAX_MESSAGES = 4, QGM_MAX_STAGES = 16, QGM_MAX_DERIVED = 8 };

/* Elements of a block: messages of a block stay in L1 and L2. Part of the result where an algorithm sums over a vector
 * or compresses: sums are taken per block and added in block order, compression works block by block. */
enum { QGM_BLOCK = 1024 };

/* What is the same for all clients in a step. */
struct qgm_step {
    long t; /* finished steps; 0 at the first */
    double lr, momentum, weight_decay;
    double per_lr;                   /* 1 / lr; 0 when lr is 0, so that a quotient by lr counts as 0 in such a step */
    bool nesterov, exchanges;        /* exchanges: false in a local step, where every MIX is the identity */
    bool fresh;                      /* no local step came since the last exchange */
    const double *knob;              /* the algorithm's own options, in the order of its table */
    double derived[QGM_MAX_DERIVED]; /* what `prepare` made of the above; kept from step to step, 0 at first */
    uint64_t seed;                   /* of random compression */
};

struct qgm_block; /* what a map sees: block.h */

enum qgm_op {
    QGM_OP_END,
    QGM_OP_MAP,   /* call map on every client's block */
    QGM_OP_MIX,   /* arg messages: in[m] = sum_j W_ij out_j[m], j ascending, self included in its place */
    QGM_OP_MEAN,  /* arg messages: in[m] = (sum_j out_j[m]) / n, j ascending, one division: the all-reduce */
    QGM_OP_RELAY, /* arg 1: in[0] = sum over neighbours of what they relay on a tree, of out[0] and what they got */
    QGM_OP_NORM,  /* norm = || state[arg] || over the client's whole vector: a barrier, messages do not outlive it */
};
struct qgm_stage {
    enum qgm_op op;
    int arg;
    void (*map)(const struct qgm_step *, struct qgm_block *);
    bool (*when)(const struct qgm_step *); /* NULL: always. Looks at the step only, so that all clients agree */
    bool to_x;     /* of a MIX of one message: its sum is the new x, and nothing is left to do with it */
    bool inside;   /* of a MIX: the map behind it may sum up itself, as it takes what comes by `received` (block.h) */
    bool of_g;     /* of a MEAN that comes first: its one message is the gradient, and no map makes it */
    bool early;    /* reads no gradient and changes nothing but messages. Where that holds for all maps before the first
                      exchange, messages to other machines set off before the gradients are computed */
    unsigned rows; /* of a map: what it touches, of QGM_X, QGM_G and QGM_STATE(i); 0: all. Decides what is fetched
                      ahead, and nothing else: worth telling where a map leaves alone what memory is slow to bring */
};
#define QGM_X        1u
#define QGM_G        2u
#define QGM_STATE(i) (4u << (i))

/* What an algorithm asks of the mixing matrix; the engine refuses a wrong pairing with the reason and a remedy. */
enum qgm_needs {
    QGM_NEEDS_ROW_STOCHASTIC = 1,
    QGM_NEEDS_COLUMN_STOCHASTIC = 2,
    QGM_NEEDS_DOUBLY_STOCHASTIC = QGM_NEEDS_ROW_STOCHASTIC | QGM_NEEDS_COLUMN_STOCHASTIC,
    QGM_NEEDS_SYMMETRIC = 4,
    QGM_NEEDS_LAMBDA_MIN = 8, /* smallest eigenvalue > -1/3 */
    QGM_NEEDS_STATIC = 16,
    QGM_NEEDS_TREE = 32,
};

/* How Lin et al.'s released code counts what an algorithm sends, where it is not a vector a link. */
enum qgm_lin2021 {
    QGM_LIN2021_LINKS,
    QGM_LIN2021_LINKS_AND_MEAN, /* an all-reduce besides, which does not happen */
    QGM_LIN2021_ONCE,           /* one vector a client, however many neighbours */
};

struct qgm_algo {
    const char *name, *source, *about;
    unsigned needs;
    int states, messages;     /* messages: most that are in flight at once */
    int bytes;                /* compulsory traffic of a step with default knobs: bytes a parameter a client */
    bool momentum;            /* reads step.momentum (and step.nesterov) */
    bool nesterov;            /* what step.nesterov is */
    bool spends_gradient;     /* state number `states`, as far as it is used, is the gradient: maps overwrite it, and it
                                 does not outlive the step */
    bool push_sum;            /* the engine mixes a weight along with the messages: block.mass */
    bool increments;          /* messages are differences to what was sent before: by a lost one the receiver's
                                 copy stays behind for good */
    bool local_steps;         /* admits gradient steps without exchange: takes the common option local=K */
    const char *no_local;     /* why not, where it does not */
    enum qgm_lin2021 counted; /* for qgm_engine_bytes_counted */
    int velocity;             /* 1 + index of the state that telemetry compares with the gradient; 0: none. It is
                                 final where no stage that follows touches the gradient */
    struct qgm_knob knob[QGM_MAX_KNOBS];
    struct qgm_stage stage[QGM_MAX_STAGES];
    void (*prepare)(struct qgm_step *);   /* once before each step: fill step.derived. NULL: nothing to do */
    int (*states_of)(const double *knob); /* states in use with these knobs. NULL: all */
    /* Of 32 bits, that so many coordinates of a block cost in a message. NULL: as many as they are. */
    double (*words)(const struct qgm_step *, size_t used);
};

#define QGM_MAP(f)                                                                                                     \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f)                                                                                   \
    }
#define QGM_MAP_OF(f, touched) /* a map that touches no more than this */                                              \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f), .rows = (touched)                                                                \
    }
#define QGM_OFFER(f) /* a map that is early */                                                                         \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f), .early = true                                                                    \
    }
#define QGM_OFFER_WHEN(f, test)                                                                                        \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f), .when = (test), .early = true                                                    \
    }
#define QGM_MAP_WHEN(f, test)                                                                                          \
    {                                                                                                                  \
        .op = QGM_OP_MAP, .map = (f), .when = (test)                                                                   \
    }
#define QGM_MIX(messages)                                                                                              \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = (messages)                                                                            \
    }
#define QGM_MIX_TO_X                                                                                                   \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = 1, .to_x = true                                                                       \
    }
/* Instead of the MIX that follows, which is then not active. */
#define QGM_MIX_TO_X_WHEN(test)                                                                                        \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = 1, .to_x = true, .when = (test)                                                       \
    }
#define QGM_MIX_INSIDE(messages)                                                                                       \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = (messages), .inside = true                                                            \
    }
#define QGM_MIX_INSIDE_WHEN(n, test)                                                                                   \
    {                                                                                                                  \
        .op = QGM_OP_MIX, .arg = (n), .inside = true, .when = (test)                                                   \
    }
#define QGM_MEAN_OF_G                                                                                                  \
    {                                                                                                                  \
        .op = QGM_OP_MEAN, .arg = 1, .of_g = true                                                                      \
    }
#define QGM_MEAN_WHEN(n, test)                                                                                         \
    {                                                                                                                  \
        .op = QGM_OP_MEAN, .arg = (n), .when = (test)                                                                  \
    }
#define QGM_RELAY_WHEN(test)                                                                                           \
    {                                                                                                                  \
        .op = QGM_OP_RELAY, .arg = 1, .when = (test)                                                                   \
    }
#define QGM_NORM(state)                                                                                                \
    {                                                                                                                  \
        .op = QGM_OP_NORM, .arg = (state)                                                                              \
    }

/* The algorithms of one file: QGM_FAMILY(dsgd) = { { .name = "dsgd", ... }, ..., { 0 } }; */
#define QGM_FAMILY(file)                                                                                               \
    extern const struct qgm_algo QGM_ISA(qgm_family_##file)[];                                                         \
    const struct qgm_algo QGM_ISA(qgm_family_##file)[]

/* All algorithms of one instruction set, and the function that runs them. */
struct qgm_pass;
struct qgm_view;
struct qgm_algo_table {
    const char *isa;
    size_t real; /* bytes of an element: 4, or 8 in the reference build */
    const struct qgm_algo *const *families;
    void (*pass)(const struct qgm_pass *, int thread);
    void (*observe)(const struct qgm_view *, size_t len, double *out);
};

#endif
