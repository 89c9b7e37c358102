/* QuickJS as a guest of Sluice: the guest contract of docs/abi.md around one script. All of it, QuickJS included, is one
 * translation unit, so that the shim may use what QuickJS keeps to itself.
 *
 * Nothing here relies on anything that a script can change: no prototype, no global. And nothing cleans up behind a
 * call: the host puts memory and globals back as load left them. */

#include "quickjs.c"
#include "heap.c"
#include "json.c"

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

IMPORT("sluice", "log") void host_log(int level, const void *text, uint32_t size);
IMPORT("sluice", "get") int32_t host_get(const void *collection, uint32_t, const void *id, uint32_t, void *out, uint32_t room);
IMPORT("sluice", "find") int32_t host_find(const void *collection, uint32_t, const void *query, uint32_t, void *out, uint32_t room);
IMPORT("sluice", "count") int64_t host_count(const void *collection, uint32_t, const void *query, uint32_t);
IMPORT("sluice", "config") int32_t host_config(void *out, uint32_t room);
IMPORT("wasi_snapshot_preview1", "random_get") int host_random(void *bytes, uint32_t size);
IMPORT("wasi_snapshot_preview1", "clock_time_get") int host_clock(int clock, uint64_t precision, uint64_t *nanoseconds);

#define RESULT_NO  0ull
#define RESULT_YES 1ull
#define NO_BIT     (1ull << 63)

enum { OP_INSERT = 1, OP_UPDATE, OP_DELETE, OP_READ, OP_FILTER, OP_SIGNUP, OP_CLAIMS, OP_UPLOAD };

/* What a script may export, and the bits in what load returns. */
enum { POLICY, BEFORE_INSERT, BEFORE_UPDATE, BEFORE_DELETE, FILTER, BEFORE_SIGNUP, CLAIMS, BEFORE_UPLOAD, HANDLERS };
static const char *const handler_names[HANDLERS] = {
    "policy", "beforeInsert", "beforeUpdate", "beforeDelete", "filter", "beforeSignup", "claims", "beforeUpload",
};

/* The members of an event. */
enum { V, EVENT, OP, COLLECTION, CALLER, BEFORE, AFTER, DOCUMENTS, NOW, REQUEST_ID, MEMBERS };
static const char *const member_names[MEMBERS] = {
    "v", "event", "op", "collection", "caller", "before", "after", "documents", "now", "requestId",
};

extern void __wasm_call_ctors(void);

static JSRuntime *rt;
static JSContext *ctx;
static JSValue handlers[HANDLERS];
static JSClassID decision_class;
static Text fault;                   /* of the last call */
static uint64_t random_state;        /* 0: this event has drawn nothing yet */

static struct {
    uint8_t *bytes;                  /* where the host writes events */
    JSValue object;                  /* what handlers get: it reads a member when that is first asked for */
    Text text[MEMBERS];
    JSValue value[MEMBERS];          /* JS_UNINITIALIZED: not asked for yet */
} event;

static uint64_t at(const void *text, size_t size)
{
    return (uint64_t)(uintptr_t)text << 32 | (uint32_t)size;
}

/* ---- what QuickJS asks of an operating system ---- */

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    uint64_t ns = 0;
    host_clock(0, 0, &ns);
    tv->tv_sec = ns / 1000000000;
    tv->tv_usec = ns / 1000 % 1000000;
    return 0;
}

_Noreturn void abort(void)
{
    __builtin_trap();
}

static JSValue math_random(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    JSFloat64Union u;
    if (!random_state) {
        host_random(&random_state, sizeof random_state);
        random_state |= 1;
    }
    u.u64 = 0x3ffull << 52 | xorshift64star(&random_state) >> 12;
    return JS_NewFloat64(ctx, u.d - 1);
}

/* ---- decisions ---- */

/* A Decision is what deny and rewrite return. */
typedef struct Decision {
    Text reason;         /* of deny */
    JSValue document;    /* of rewrite */
} Decision;

static JSValue new_decision(JSContext *ctx, Text reason, JSValue document)
{
    JSValue object = JS_NewObjectClass(ctx, decision_class);
    Decision *d = js_malloc(ctx, sizeof *d);
    if (JS_IsException(object) || !d)
        return JS_EXCEPTION;
    d->reason = reason;
    d->document = document;
    JS_SetOpaque(object, d);
    return object;
}

static void mark_decision(JSRuntime *rt, JSValueConst v, JS_MarkFunc *mark)
{
    Decision *d = JS_GetOpaque(v, decision_class);
    if (d)
        JS_MarkValue(rt, d->document, mark);
}

static void free_decision(JSRuntime *rt, JSValue v)
{
    Decision *d = JS_GetOpaque(v, decision_class);
    if (d) {
        JS_FreeValueRT(rt, d->document);
        js_free_rt(rt, (void *)d->reason.begin);
        js_free_rt(rt, d);
    }
}

static JSValue sluice_allow(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    return JS_TRUE;
}

/* deny(code, message, {status}) is checked here, where the stack of an error points at the mistake. */
static JSValue sluice_deny(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Out out = { ctx };
    Text none = { 0 };
    const char *code;
    size_t size, i;
    if (argc < 1 || !JS_IsString(argv[0]))
        return JS_ThrowTypeError(ctx, "deny: the code must be a string");
    if (!(code = JS_ToCStringLen(ctx, &size, argv[0])))
        return JS_EXCEPTION;
    for (i = 0; i < size; i++)
        if (!((code[i] >= 'a' && code[i] <= 'z') || (code[i] >= '0' && code[i] <= '9') || code[i] == '_' || code[i] == '.'))
            break;
    if (i < size || size == 0 || size > 64)
        return JS_ThrowTypeError(ctx, "deny: the code must be 1 to 64 of a-z, 0-9, _ and .");
    if (put(&out, "{\"code\":\"", 9) || put(&out, code, size) || put_byte(&out, '"'))
        return JS_EXCEPTION;
    JS_FreeCString(ctx, code);
    if (argc >= 2 && !JS_IsUndefined(argv[1])) {
        const char *message;
        if (!JS_IsString(argv[1]))
            return JS_ThrowTypeError(ctx, "deny: the message must be a string");
        if (!(message = JS_ToCStringLen(ctx, &size, argv[1])))
            return JS_EXCEPTION;
        if (size > 500)
            return JS_ThrowTypeError(ctx, "deny: the message has %d bytes, at most 500 are allowed", (int)size);
        if (put(&out, ",\"message\":", 11) || write_string(&out, argv[1], none))
            return JS_EXCEPTION;
        JS_FreeCString(ctx, message);
    }
    if (argc >= 3 && !JS_IsUndefined(argv[2])) {
        JSValue v = JS_GetPropertyStr(ctx, argv[2], "status");
        char text[32];
        if (JS_IsException(v))
            return v;
        if (!JS_IsUndefined(v)) {
            double status = JS_IsNumber(v) && !JS_ToFloat64(ctx, &status, v) ? status : 0;
            if (status < 400 || status > 499 || status != (int)status)
                return JS_ThrowTypeError(ctx, "deny: the status must be a whole number from 400 to 499");
            snprintf(text, sizeof text, ",\"status\":%d", (int)status);
            if (put(&out, text, strlen(text)))
                return JS_EXCEPTION;
        }
    }
    if (put_byte(&out, '}'))
        return JS_EXCEPTION;
    return new_decision(ctx, (Text){ out.bytes, out.bytes + out.size }, JS_UNDEFINED);
}

static JSValue sluice_rewrite(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    if (argc < 1 || !JS_IsObject(argv[0]) || JS_IsArray(ctx, argv[0]) || JS_IsFunction(ctx, argv[0]) || JS_GetOpaque(argv[0], decision_class))
        return JS_ThrowTypeError(ctx, "rewrite: the document must be an object");
    return new_decision(ctx, (Text){ 0 }, JS_DupValue(ctx, argv[0]));
}

/* ---- reading ---- */

/* Passed is a text for the host. */
typedef struct Passed {
    const char *text;
    size_t size;
} Passed;

static int pass_string(JSContext *ctx, Passed *p, JSValueConst v, const char *who, const char *what)
{
    if (!JS_IsString(v)) {
        JS_ThrowTypeError(ctx, "%s: the %s must be a string", who, what);
        return -1;
    }
    return (p->text = JS_ToCStringLen(ctx, &p->size, v)) ? 0 : -1;
}

static int pass_query(JSContext *ctx, Passed *p, JSValueConst v, const char *who)
{
    Out out = { ctx };
    if (JS_IsUndefined(v)) {
        *p = (Passed){ "{}", 2 };
        return 0;
    }
    if (!JS_IsObject(v) || JS_IsArray(ctx, v) || JS_IsFunction(ctx, v)) {
        JS_ThrowTypeError(ctx, "%s: the query must be an object", who);
        return -1;
    }
    if (write_value(&out, v, (Text){ 0 }, 0))
        return -1;
    *p = (Passed){ (const char *)out.bytes, out.size };
    return 0;
}

enum { GET, FIND, CONFIG };

/* bring calls a host function that brings text, a second time if the text needs more room, and reads what it brought. */
static JSValue bring(JSContext *ctx, int function, Passed collection, Passed what)
{
    uint32_t room = 4096;
    for (;;) {
        uint8_t *out = js_malloc(ctx, room);
        int32_t size;
        if (!out)
            return JS_EXCEPTION;
        size = function == GET ? host_get(collection.text, collection.size, what.text, what.size, out, room)
            : function == FIND ? host_find(collection.text, collection.size, what.text, what.size, out, room)
            : host_config(out, room);
        if (size < 0)
            return JS_NULL;
        if ((uint32_t)size <= room) {
            JSValue v = read_text(ctx, (Text){ out, out + size });
            js_free(ctx, out);
            return v;
        }
        js_free(ctx, out);
        room = size;
    }
}

static JSValue sluice_get(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Passed collection, id;
    if (pass_string(ctx, &collection, argv[0], "get", "collection") || pass_string(ctx, &id, argv[1], "get", "id"))
        return JS_EXCEPTION;
    return bring(ctx, GET, collection, id);
}

static JSValue sluice_find(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Passed collection, query;
    if (pass_string(ctx, &collection, argv[0], "find", "collection") || pass_query(ctx, &query, argv[1], "find"))
        return JS_EXCEPTION;
    return bring(ctx, FIND, collection, query);
}

static JSValue sluice_count(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Passed collection, query;
    if (pass_string(ctx, &collection, argv[0], "count", "collection") || pass_query(ctx, &query, argv[1], "count"))
        return JS_EXCEPTION;
    return JS_NewInt64(ctx, host_count(collection.text, collection.size, query.text, query.size));
}

static JSValue sluice_config(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    return bring(ctx, CONFIG, (Passed){ 0 }, (Passed){ 0 });
}

static const JSCFunctionListEntry sluice_exports[] = {
    JS_CFUNC_DEF("allow", 0, sluice_allow),
    JS_CFUNC_DEF("deny", 3, sluice_deny),
    JS_CFUNC_DEF("rewrite", 1, sluice_rewrite),
    JS_CFUNC_DEF("get", 2, sluice_get),
    JS_CFUNC_DEF("find", 2, sluice_find),
    JS_CFUNC_DEF("count", 2, sluice_count),
    JS_CFUNC_DEF("config", 0, sluice_config),
};

static int init_sluice(JSContext *ctx, JSModuleDef *m)
{
    return JS_SetModuleExportList(ctx, m, sluice_exports, countof(sluice_exports));
}

/* normalize keeps the names of imports as they are written. */
static char *normalize(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    return js_strdup(ctx, name);
}

static JSModuleDef *load_module(JSContext *ctx, const char *name, void *opaque)
{
    JS_ThrowReferenceError(ctx, "cannot import \"%s\": a script is one file, and there is only \"sluice\" to import from; a bundler joins several", name);
    return NULL;
}

/* ---- console ---- */

static int print_value(Out *out, JSValueConst v)
{
    size_t size;
    const char *text;
    JSValue shown;
    int status;
    if (JS_IsObject(v) && !JS_IsFunction(ctx, v) && !JS_IsError(ctx, v)) {
        shown = JS_JSONStringify(ctx, v, JS_UNDEFINED, JS_UNDEFINED);
        if (JS_IsUndefined(shown))
            shown = JS_ToString(ctx, v);
    } else if (JS_IsSymbol(v)) {
        shown = js_symbol_toString(ctx, v, 0, NULL);
    } else {
        shown = JS_ToString(ctx, v);
    }
    if (JS_IsException(shown) || !(text = JS_ToCStringLen(ctx, &size, shown)))
        return -1;
    status = put(out, text, size);
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, shown);
    return status;
}

static JSValue console_write(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int level)
{
    Out out = { ctx };
    int i;
    for (i = 0; i < argc; i++)
        if ((i > 0 && put_byte(&out, ' ')) || print_value(&out, argv[i]))
            return JS_EXCEPTION;
    host_log(level, out.bytes, out.size);
    js_free(ctx, out.bytes);
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry console_functions[] = {
    JS_CFUNC_MAGIC_DEF("debug", 0, console_write, 0),
    JS_CFUNC_MAGIC_DEF("log", 0, console_write, 1),
    JS_CFUNC_MAGIC_DEF("info", 0, console_write, 1),
    JS_CFUNC_MAGIC_DEF("warn", 0, console_write, 2),
    JS_CFUNC_MAGIC_DEF("error", 0, console_write, 3),
};

/* ---- events ---- */

static JSValue get_member(JSContext *ctx, JSValueConst this, int magic)
{
    JSValue *v = &event.value[magic];
    if (JS_VALUE_GET_TAG(*v) == JS_TAG_UNINITIALIZED) {
        JSValue read = event.text[magic].begin ? read_text(ctx, event.text[magic]) : JS_UNDEFINED;
        if (JS_IsException(read))
            return read;
        *v = read;
    }
    return JS_DupValue(ctx, *v);
}

static int new_event(void)
{
    int i;
    event.object = JS_NewObject(ctx);
    for (i = 0; i < MEMBERS; i++) {
        JSCFunctionType f = { .getter_magic = get_member };
        JSAtom name = JS_NewAtom(ctx, member_names[i]);
        JSValue getter = JS_NewCFunction2(ctx, f.generic, member_names[i], 0, JS_CFUNC_getter_magic, i);
        if (JS_DefinePropertyGetSet(ctx, event.object, name, getter, JS_UNDEFINED, JS_PROP_ENUMERABLE) < 0)
            return -1;
        JS_FreeAtom(ctx, name);
        event.value[i] = JS_UNINITIALIZED;
    }
    JS_PreventExtensions(ctx, event.object);
    return 0;
}

/* begin_event finds the members of an event of size bytes. */
static void begin_event(uint32_t size)
{
    const uint8_t *p = event.bytes + 1, *end = event.bytes + size;
    Text name, value;
    int i, next = 0;
    for (i = 0; i < MEMBERS; i++) {
        event.text[i].begin = NULL;
        event.value[i] = JS_UNINITIALIZED;
    }
    while (next_item(&p, end, &name, &value)) {
        size_t n = name.end - name.begin - 2;
        for (i = next; i < MEMBERS; i++) {    /* they come in this order */
            if (strlen(member_names[i]) == n && !memcmp(member_names[i], name.begin + 1, n)) {
                event.text[i] = value;
                next = i + 1;
                break;
            }
        }
    }
}

/* ---- faults ---- */

static void add_text(Out *out, JSValueConst v)
{
    size_t size;
    const char *text = JS_ToCStringLen(ctx, &size, v);
    if (text)
        put(out, text, size);
    else
        JS_FreeValue(ctx, JS_GetException(ctx));
}

/* blame keeps the text of an exception, with its stack, for failure. It takes e. */
static void blame(JSValue e)
{
    Out out = { ctx };
    add_text(&out, e);
    if (JS_IsError(ctx, e)) {
        JSValue stack = JS_GetPropertyStr(ctx, e, "stack");
        if (JS_IsString(stack)) {
            put_byte(&out, '\n');
            add_text(&out, stack);
        }
        JS_FreeValue(ctx, stack);
    }
    if (out.size == 0)
        put(&out, "an exception that has no text", 29);
    fault = (Text){ out.bytes, out.bytes + out.size };
}

static uint64_t failed(void)
{
    blame(JS_GetException(ctx));
    return RESULT_NO;
}

/* settle waits for a promise: there is nothing that it could wait for but other promises. It takes v. */
static JSValue settle(JSValue v, const char *who)
{
    JSContext *c;
    int status;
    if (!JS_IsObject(v) || (int)JS_PromiseState(ctx, v) < 0)
        return v;
    while (JS_PromiseState(ctx, v) == JS_PROMISE_PENDING) {
        if ((status = JS_ExecutePendingJob(rt, &c)) < 0)
            return JS_EXCEPTION;
        if (status == 0)
            return JS_ThrowTypeError(ctx, "%s waits for a promise that nothing settles", who);
    }
    if (JS_PromiseState(ctx, v) == JS_PROMISE_REJECTED)
        return JS_Throw(ctx, JS_PromiseResult(ctx, v));
    return JS_PromiseResult(ctx, v);
}

/* ---- answers ---- */

/* changed answers with a document, or a plain yes if it is what the text was says. */
static uint64_t changed(JSValueConst document, Text was)
{
    Out out = { ctx };
    int status = write_value(&out, document, was, 0);
    if (status == 1 || (status == 0 && out.bytes[0] != '{'))
        status = (JS_ThrowTypeError(ctx, "the document is no object"), -1);
    if (status)
        return failed();
    if (was.begin && out.size == (size_t)(was.end - was.begin) && !memcmp(out.bytes, was.begin, out.size))
        return RESULT_YES;
    return at(out.bytes, out.size);
}

/* page answers for each document of a page. */
static uint64_t page(JSValueConst allowed, const char *who)
{
    Out out = { ctx };
    int64_t i, n;
    if (js_get_length64(ctx, &n, allowed) || put(&out, "{\"allow\":[", 10))
        return failed();
    for (i = 0; i < n; i++) {
        JSValue v = JS_GetPropertyInt64(ctx, allowed, i);
        if (JS_IsException(v))
            return failed();
        if (!JS_IsBool(v)) {
            JS_ThrowTypeError(ctx, "%s must answer true or false for each document, and has not for number %d", who, (int)i);
            return failed();
        }
        if ((i > 0 && put_byte(&out, ',')) || (JS_VALUE_GET_BOOL(v) ? put(&out, "true", 4) : put(&out, "false", 5)))
            return failed();
    }
    if (put(&out, "]}", 2))
        return failed();
    return at(out.bytes, out.size);
}

static const char *kind_of(JSValueConst v)
{
    return JS_IsUndefined(v) ? "nothing" : JS_IsNull(v) ? "null" : JS_IsString(v) ? "a string" : JS_IsNumber(v) ? "a number" :
        JS_IsFunction(ctx, v) ? "a function" : JS_IsArray(ctx, v) ? "an array" : JS_IsObject(v) ? "an object" : "something else";
}

/* answer turns what a handler returned into a result. */
static uint64_t answer(JSValueConst v, int handler, int op)
{
    const char *who = handler_names[handler];
    Decision *d = JS_GetOpaque(v, decision_class);
    int writes = op == OP_INSERT || op == OP_UPDATE || op == OP_SIGNUP;
    if (d && d->reason.begin)
        return NO_BIT | at(d->reason.begin, d->reason.end - d->reason.begin);
    if (d && handler != POLICY && writes)
        return changed(d->document, event.text[AFTER]);
    if (JS_IsBool(v)) {
        if (!JS_VALUE_GET_BOOL(v))
            return RESULT_NO;
        if (handler != POLICY && writes && JS_IsObject(event.value[AFTER]))
            return changed(event.value[AFTER], event.text[AFTER]);
        return RESULT_YES;
    }
    if (!d && op == OP_READ && JS_IsArray(ctx, v))
        return page(v, who);
    if (!d && (handler == FILTER || handler == CLAIMS) && JS_IsObject(v) && !JS_IsArray(ctx, v) && !JS_IsFunction(ctx, v))
        return changed(v, (Text){ 0 });
    if (d)
        JS_ThrowTypeError(ctx, "%s cannot rewrite anything here: return allow() or deny(…)", who);
    else if (op == OP_READ)
        JS_ThrowTypeError(ctx, "%s must return true, false, deny(…) or an array of true and false, and returned %s", who, kind_of(v));
    else
        JS_ThrowTypeError(ctx, "%s must return allow(), deny(…), true or false, and returned %s", who, kind_of(v));
    return failed();
}

static uint64_t call(int handler, int op, uint32_t size)
{
    JSValue v;
    fault.begin = NULL;
    if (JS_IsUndefined(handlers[handler]))
        return RESULT_NO;
    begin_event(size);
    v = settle(JS_Call(ctx, handlers[handler], JS_UNDEFINED, 1, &event.object), handler_names[handler]);
    if (JS_IsException(v)) {
        v = JS_GetException(ctx);
        Decision *d = JS_GetOpaque(v, decision_class);
        if (d && d->reason.begin)        /* throw deny(…) says the same as to return it */
            return NO_BIT | at(d->reason.begin, d->reason.end - d->reason.begin);
        blame(v);
        return RESULT_NO;
    }
    return answer(v, handler, op);
}

/* ---- what the host calls ---- */

/* _initialize makes a runtime that is the same for every script: the host keeps its image and starts from there. */
EXPORT("_initialize") void initialize(void)
{
    static const JSClassDef decision = { "Decision", .finalizer = free_decision, .gc_mark = mark_decision };
    JSValue global, console, math;
    JSModuleDef *m;
    int i;
    __wasm_call_ctors();
    heap_begin();
    rt = JS_NewRuntime2(&heap_functions, NULL);
    JS_SetGCThreshold(rt, -1);        /* nothing lives long enough to be collected */
    JS_SetMaxStackSize(rt, STACK_SIZE - 32 * 1024);
    ctx = JS_NewContext(rt);
    JS_NewClassID(&decision_class);
    JS_NewClass(rt, decision_class, &decision);
    JS_SetModuleLoaderFunc(rt, normalize, load_module, NULL);
    m = JS_NewCModule(ctx, "sluice", init_sluice);
    JS_AddModuleExportList(ctx, m, sluice_exports, countof(sluice_exports));
    global = JS_GetGlobalObject(ctx);
    console = JS_NewObject(ctx);
    JS_SetPropertyFunctionList(ctx, console, console_functions, countof(console_functions));
    JS_DefinePropertyValueStr(ctx, global, "console", console, JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    math = JS_GetPropertyStr(ctx, global, "Math");
    JS_DefinePropertyValueStr(ctx, math, "random", JS_NewCFunction(ctx, math_random, "random", 0), JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_FreeValue(ctx, math);
    JS_FreeValue(ctx, global);
    for (i = 0; i < HANDLERS; i++)
        handlers[i] = JS_UNDEFINED;
    new_event();
}

EXPORT("abi_version") int abi_version(void)
{
    return 1;
}

EXPORT("alloc") void *alloc(uint32_t size)
{
    return event.bytes = js_malloc_rt(rt, size);
}

/* source makes room for the script's name and text. */
EXPORT("source") void *source(uint32_t size)
{
    return js_malloc_rt(rt, size + 1);
}

/* load runs a script whose name, ended by a zero, and text are at source. It returns the set of handlers that the
 * script exports; or, with bit 63, why it cannot be used. */
EXPORT("load") uint64_t load(char *source, uint32_t name_size, uint32_t text_size)
{
    const char *text = source + name_size + 1;
    JSValue module, space, v;
    uint64_t found = 0;
    int i;
    source[name_size + 1 + text_size] = 0;
    fault.begin = NULL;
    module = JS_Eval(ctx, text, text_size, source, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(module))
        goto fail;
    v = settle(JS_EvalFunction(ctx, JS_DupValue(ctx, module)), "the script");
    if (JS_IsException(v))
        goto fail;
    JS_FreeValue(ctx, v);
    space = JS_GetModuleNamespace(ctx, JS_VALUE_GET_PTR(module));
    if (JS_IsException(space))
        goto fail;
    for (i = 0; i < HANDLERS; i++) {
        v = JS_GetPropertyStr(ctx, space, handler_names[i]);
        if (JS_IsException(v))
            goto fail;
        if (JS_IsUndefined(v))
            continue;
        if (!JS_IsFunction(ctx, v)) {
            JS_ThrowTypeError(ctx, "the export %s is %s, it must be a function", handler_names[i], kind_of(v));
            goto fail;
        }
        handlers[i] = v;
        found |= 1ull << i;
    }
    JS_FreeValue(ctx, space);
    js_free_rt(rt, source);
    JS_RunGC(rt);
    random_state = 0;
    return found;
fail:
    failed();
    return NO_BIT | at(fault.begin, fault.end - fault.begin);
}

EXPORT("policy") uint64_t policy(int op, uint32_t size)
{
    switch (op) {
    case OP_INSERT: case OP_UPDATE: case OP_DELETE: case OP_READ:
        return call(POLICY, op, size);
    case OP_FILTER:
        return call(FILTER, op, size);
    }
    return RESULT_NO;
}

EXPORT("hook") uint64_t hook(int op, uint32_t size)
{
    switch (op) {
    case OP_INSERT: return call(BEFORE_INSERT, op, size);
    case OP_UPDATE: return call(BEFORE_UPDATE, op, size);
    case OP_DELETE: return call(BEFORE_DELETE, op, size);
    case OP_SIGNUP: return call(BEFORE_SIGNUP, op, size);
    case OP_CLAIMS: return call(CLAIMS, op, size);
    case OP_UPLOAD: return call(BEFORE_UPLOAD, op, size);
    }
    return RESULT_NO;
}

/* failure returns where the text of the last call's exception is; 0: there was none. */
EXPORT("failure") uint64_t failure(void)
{
    return fault.begin ? at(fault.begin, fault.end - fault.begin) : 0;
}

/* used returns where memory ends that was ever written to. */
EXPORT("used") void *used(void)
{
    return heap_end;
}
