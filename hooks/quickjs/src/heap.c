/* The engine's heap. It lives for one event: the host puts memory back after each call, so nothing is ever returned to
 * anybody, and what matters is that an event touches few pages. Blocks come from the end of the heap; freed ones go on the
 * list of their size class, newest first, and are used again while they are warm. There is no merging. */

typedef struct Block {
    uint32_t size;        /* of the payload: what its class holds */
    uint32_t class;
} Block;

typedef struct FreeBlock {
    Block head;
    struct FreeBlock *next;
} FreeBlock;

enum {
    UNIT = 8,
    SMALL = 256,          /* up to here classes are UNIT apart, above they are a quarter of a power of two apart */
    SMALL_CLASSES = SMALL / UNIT,
    CLASSES = SMALL_CLASSES + 4 * 23,
};

extern uint8_t __heap_base;
static FreeBlock *free_blocks[CLASSES + 1];
static uint8_t *heap_end;      /* where the next new block begins */
static uint8_t *heap_limit;    /* where memory ends */

static uint32_t class_of(size_t size, uint32_t *holds)
{
    uint32_t shift, step;
    if (size <= SMALL) {
        uint32_t class = (size + UNIT - 1) / UNIT;
        *holds = class * UNIT;
        return class;
    }
    shift = 31 - __builtin_clz((uint32_t)size - 1);    /* size is above 2^shift, at most 2^(shift+1) */
    step = ((uint32_t)size - 1 - (1u << shift)) >> (shift - 2);
    *holds = (1u << shift) + (step + 1) * (1u << (shift - 2));
    return SMALL_CLASSES + 1 + 4 * (shift - 8) + step;
}

/* heap_more makes room for size further bytes at the end of the heap. It stands alone because the host charges for a
 * stretch of code as a whole, and growing memory is dear. */
static no_inline int heap_more(size_t size)
{
    size_t page = 64 << 10, pages = (size - (heap_limit - heap_end) + page - 1) / page;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1)
        return 0;
    heap_limit += pages * page;
    return 1;
}

static void *heap_alloc(JSMallocState *s, size_t size)
{
    uint32_t holds, class;
    Block *b;
    if (size > 0x40000000)
        return NULL;
    class = class_of(size, &holds);
    if (free_blocks[class]) {
        FreeBlock *f = free_blocks[class];
        free_blocks[class] = f->next;
        return &f->head + 1;
    }
    if (sizeof(Block) + holds > (size_t)(heap_limit - heap_end) && !heap_more(sizeof(Block) + holds))
        return NULL;
    b = (Block *)heap_end;
    heap_end += sizeof(Block) + holds;
    b->size = holds;
    b->class = class;
    return b + 1;
}

static void heap_free(JSMallocState *s, void *p)
{
    if (p) {
        FreeBlock *f = (FreeBlock *)((Block *)p - 1);
        f->next = free_blocks[f->head.class];
        free_blocks[f->head.class] = f;
    }
}

static void *heap_realloc(JSMallocState *s, void *p, size_t size)
{
    Block *b = (Block *)p - 1;
    void *q;
    if (!p)
        return size ? heap_alloc(s, size) : NULL;
    if (size == 0) {
        heap_free(s, p);
        return NULL;
    }
    if (size <= b->size)
        return p;
    if (size > 0x40000000)
        return NULL;
    if ((uint8_t *)p + b->size == heap_end) {          /* the last block grows where it is */
        uint32_t holds, class = class_of(size, &holds);
        size_t more = holds - b->size;
        if (more > (size_t)(heap_limit - heap_end) && !heap_more(more))
            return NULL;
        heap_end += more;
        b->size = holds;
        b->class = class;
        return p;
    }
    q = heap_alloc(s, size);
    if (q) {
        memcpy(q, p, b->size);
        heap_free(s, p);
    }
    return q;
}

static size_t heap_usable(const void *p)
{
    return p ? ((const Block *)p - 1)->size : 0;
}

static const JSMallocFunctions heap_functions = { heap_alloc, heap_free, heap_realloc, heap_usable };

static void heap_begin(void)
{
    heap_end = (uint8_t *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15);
    heap_limit = (uint8_t *)(__builtin_wasm_memory_size(0) << 16);
}
