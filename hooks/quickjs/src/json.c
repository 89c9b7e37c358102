/* JSON text to values and back. The text that the host writes is valid and has unique names, so the reader only checks
 * what keeps it inside of the text. The writer is given the text that a value was once read from: whatever still has the
 * same value keeps its text and its place, so that a hook changes nothing that it has not changed: no digit of a number
 * that JavaScript cannot hold, no order of members. */

/* A span of text; begin is NULL where there is none. */
typedef struct Text {
    const uint8_t *begin, *end;
} Text;

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

/* skip_value returns the end of the value at p. */
static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
    int depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            if (depth == 0)
                return p;
            continue;
        case '{': case '[':
            depth++;
            break;
        case '}': case ']':
            if (depth == 0)
                return p;
            if (--depth == 0)
                return p + 1;
            break;
        case ',': case ':': case ' ': case '\n': case '\t': case '\r':
            if (depth == 0)
                return p;
            break;
        }
        p++;
    }
    return end;
}

/* next_item steps over the items of an array, or with name over the members of an object. *at begins behind the bracket. */
static int next_item(const uint8_t **at, const uint8_t *end, Text *name, Text *value)
{
    const uint8_t *p = skip_space(*at, end);
    if (p < end && *p == ',')
        p = skip_space(p + 1, end);
    if (p >= end || *p == '}' || *p == ']')
        return 0;
    if (name) {
        name->begin = p;
        name->end = p = skip_value(p, end);
        p = skip_space(p, end);
        p = skip_space(p + 1, end);    /* past the colon */
    }
    if (p >= end)
        return 0;
    value->begin = p;
    value->end = *at = skip_value(p, end);
    return value->end > value->begin;
}

static JSValue read_value(JSContext *ctx, const uint8_t **at, const uint8_t *end);

static JSValue malformed(JSContext *ctx)
{
    return JS_ThrowSyntaxError(ctx, "malformed JSON from the host");
}

static JSValue read_number(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const uint8_t *begin = *at, *p = begin;
    uint64_t digits = 0;
    int n = 0, fraction = 0, negative = p < end && *p == '-';
    p += negative;
    for (; p < end && *p >= '0' && *p <= '9'; p++, n++)
        digits = digits * 10 + (*p - '0');
    if (p < end && *p == '.')
        for (p++; p < end && *p >= '0' && *p <= '9'; p++, n++, fraction++)
            digits = digits * 10 + (*p - '0');
    if (n == 0)
        return malformed(ctx);
    if (n <= 15 && (p == end || (*p | 0x20) != 'e')) {    /* exact: digits and the power are, and one division rounds once */
        *at = p;
        if (fraction == 0 && digits <= INT32_MAX && !(negative && digits == 0))
            return JS_NewInt32(ctx, negative ? -(int32_t)digits : (int32_t)digits);
        return __JS_NewFloat64(ctx, (negative ? -(double)digits : (double)digits) / powers[fraction]);
    }
    {
        JSATODTempMem memory;
        char buffer[512], *copy = buffer;
        const uint8_t *stop = skip_value(begin, end);
        size_t size = stop - begin;
        double d;
        if (size >= sizeof buffer && !(copy = js_malloc(ctx, size + 1)))
            return JS_EXCEPTION;
        memcpy(copy, begin, size);
        copy[size] = 0;
        d = js_atod(copy, NULL, 10, 0, &memory);
        if (copy != buffer)
            js_free(ctx, copy);
        *at = stop;
        return JS_NewFloat64(ctx, d);
    }
}

static int hex4(const uint8_t *p)
{
    int i, v = 0;
    for (i = 0; i < 4; i++) {
        int h = from_hex(p[i]);
        if (h < 0)
            return -1;
        v = v << 4 | h;
    }
    return v;
}

/* unescape copies the inside of a string without its escapes. A surrogate without its other half becomes three bytes,
 * which JS_NewStringLen takes for what it was. Returns NULL, with an exception, on failure. */
static char *unescape(JSContext *ctx, const uint8_t *p, const uint8_t *end, size_t *size)
{
    uint8_t *out = js_malloc(ctx, end - p + 8), *q = out;
    if (!out)
        return NULL;
    while (p < end) {
        int c = *p++;
        if (c != '\\') {
            *q++ = c;
            continue;
        }
        c = p < end ? *p++ : 0;
        switch (c) {
        case 'b': *q++ = '\b'; break;
        case 'f': *q++ = '\f'; break;
        case 'n': *q++ = '\n'; break;
        case 'r': *q++ = '\r'; break;
        case 't': *q++ = '\t'; break;
        case '"': case '\\': case '/': *q++ = c; break;
        case 'u':
            if (end - p >= 4 && (c = hex4(p)) >= 0) {
                p += 4;
                if (is_hi_surrogate(c) && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
                    int low = hex4(p + 2);
                    if (low >= 0 && is_lo_surrogate(low)) {
                        c = from_surrogate(c, low);
                        p += 6;
                    }
                }
                q += unicode_to_utf8(q, c);
                break;
            }
            /* falls through */
        default:
            js_free(ctx, out);
            malformed(ctx);
            return NULL;
        }
    }
    *size = q - out;
    return (char *)out;
}

/* plain reports whether a string's inside is ASCII without escapes: text and value are then the same bytes. */
static int plain(const uint8_t *p, const uint8_t *end)
{
    for (; p < end; p++)
        if (*p == '\\' || *p >= 0x80)
            return 0;
    return 1;
}

static JSValue read_string(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at + 1, *q = p;
    int special = 0;
    for (; q < end && *q != '"'; q++) {
        special |= *q >= 0x80;
        if (*q == '\\') {
            special = 2;
            q++;
        }
    }
    if (q >= end)
        return malformed(ctx);
    *at = q + 1;
    if (!special)
        return js_new_string8_len(ctx, (const char *)p, q - p);
    if (!(special & 2))
        return JS_NewStringLen(ctx, (const char *)p, q - p);
    {
        size_t size;
        char *text = unescape(ctx, p, q, &size);
        JSValue v;
        if (!text)
            return JS_EXCEPTION;
        v = JS_NewStringLen(ctx, text, size);
        js_free(ctx, text);
        return v;
    }
}

/* read_name reads the name of a member. */
static JSAtom read_name(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at, *q = skip_string(p, end);
    JSValue v;
    if (p >= end || *p != '"' || q - p < 2) {
        malformed(ctx);
        return JS_ATOM_NULL;
    }
    if (plain(p + 1, q - 1)) {
        *at = q;
        return JS_NewAtomLen(ctx, (const char *)p + 1, q - p - 2);
    }
    v = read_string(ctx, at, end);
    if (JS_IsException(v))
        return JS_ATOM_NULL;
    return JS_NewAtomStr(ctx, JS_VALUE_GET_STRING(v));
}

static JSValue read_object(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = skip_space(*at + 1, end);
    JSValue object = JS_NewObject(ctx);
    if (JS_IsException(object))
        return object;
    while (p < end && *p != '}') {
        JSAtom name = read_name(ctx, &p, end);
        JSObject *o = JS_VALUE_GET_OBJ(object);
        JSProperty *property;
        JSShapeProperty *known;
        JSValue v;
        if (name == JS_ATOM_NULL)
            goto fail;
        p = skip_space(p, end);
        if (p >= end || *p != ':') {
            JS_FreeAtom(ctx, name);
            malformed(ctx);
            goto fail;
        }
        p++;
        v = read_value(ctx, &p, end);
        if (JS_IsException(v)) {
            JS_FreeAtom(ctx, name);
            goto fail;
        }
        known = find_own_property(&property, o, name);
        if (known) {
            JS_FreeValue(ctx, property->u.value);
        } else if (!(property = add_property(ctx, o, name, JS_PROP_C_W_E))) {
            JS_FreeAtom(ctx, name);
            JS_FreeValue(ctx, v);
            goto fail;
        }
        property->u.value = v;
        JS_FreeAtom(ctx, name);
        p = skip_space(p, end);
        if (p < end && *p == ',')
            p = skip_space(p + 1, end);
    }
    if (p >= end) {
        malformed(ctx);
        goto fail;
    }
    *at = p + 1;
    return object;
fail:
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

static JSValue read_array(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = skip_space(*at + 1, end);
    JSValue array = JS_NewArray(ctx);
    uint32_t n = 0;
    if (JS_IsException(array))
        return array;
    while (p < end && *p != ']') {
        JSValue v = read_value(ctx, &p, end);
        if (JS_IsException(v) || JS_DefinePropertyValueUint32(ctx, array, n++, v, JS_PROP_C_W_E) < 0)
            goto fail;
        p = skip_space(p, end);
        if (p < end && *p == ',')
            p = skip_space(p + 1, end);
    }
    if (p >= end) {
        malformed(ctx);
        goto fail;
    }
    *at = p + 1;
    return array;
fail:
    JS_FreeValue(ctx, array);
    return JS_EXCEPTION;
}

static JSValue read_word(JSContext *ctx, const uint8_t **at, const uint8_t *end, const char *word, JSValue v)
{
    size_t size = strlen(word);
    if ((size_t)(end - *at) < size || memcmp(*at, word, size))
        return malformed(ctx);
    *at += size;
    return v;
}

/* read_value reads the value at *at and moves it to the value's end. */
static JSValue read_value(JSContext *ctx, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at = skip_space(*at, end);
    if (p >= end)
        return malformed(ctx);
    if (js_check_stack_overflow(ctx->rt, 0))
        return JS_ThrowStackOverflow(ctx);
    switch (*p) {
    case '{': return read_object(ctx, at, end);
    case '[': return read_array(ctx, at, end);
    case '"': return read_string(ctx, at, end);
    case 't': return read_word(ctx, at, end, "true", JS_TRUE);
    case 'f': return read_word(ctx, at, end, "false", JS_FALSE);
    case 'n': return read_word(ctx, at, end, "null", JS_NULL);
    default:  return read_number(ctx, at, end);
    }
}

static JSValue read_text(JSContext *ctx, Text text)
{
    return read_value(ctx, &text.begin, text.end);
}

/* Out is text that grows. */
typedef struct Out {
    JSContext *ctx;
    uint8_t *bytes;
    size_t size, room;
} Out;

static int put(Out *out, const void *bytes, size_t size)
{
    if (size > out->room - out->size) {
        size_t room = max_int64(2 * out->room, out->size + size + 1024);
        uint8_t *grown = js_realloc(out->ctx, out->bytes, room);
        if (!grown)
            return -1;
        out->bytes = grown;
        out->room = room;
    }
    memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
    return 0;
}

static int put_byte(Out *out, uint8_t byte)
{
    if (out->size < out->room) {
        out->bytes[out->size++] = byte;
        return 0;
    }
    return put(out, &byte, 1);
}

static int put_text(Out *out, Text text)
{
    return put(out, text.begin, text.end - text.begin);
}

/* put_quoted writes bytes, which are UTF-8 but for lone surrogates, as a JSON string. Those are written as escapes. */
static int put_quoted(Out *out, const uint8_t *p, size_t size)
{
    const uint8_t *end = p + size, *from = p;
    if (put_byte(out, '"'))
        return -1;
    while (p < end) {
        char escape[8];
        int n = 1;
        if (*p == '"' || *p == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *p);
        } else if (*p < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", *p);
        } else if (*p == 0xed && end - p >= 3 && p[1] >= 0xa0) {
            snprintf(escape, sizeof escape, "\\u%04x", 0xd000 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f));
            n = 3;
        } else {
            p++;
            continue;
        }
        if (put(out, from, p - from) || put(out, escape, strlen(escape)))
            return -1;
        from = p += n;
    }
    return put(out, from, p - from) || put_byte(out, '"') ? -1 : 0;
}

/* same_string reports whether a string's text in JSON still says s; -1 with an exception. */
static int same_string(JSContext *ctx, JSValueConst s, Text was)
{
    JSValue old;
    int same;
    if (!was.begin || *was.begin != '"')
        return 0;
    if (JS_VALUE_GET_TAG(s) == JS_TAG_STRING && !JS_VALUE_GET_STRING(s)->is_wide_char && plain(was.begin + 1, was.end - 1)) {
        JSString *p = JS_VALUE_GET_STRING(s);
        size_t size = was.end - was.begin - 2;
        return p->len == size && !memcmp(p->u.str8, was.begin + 1, size);
    }
    old = read_text(ctx, was);
    if (JS_IsException(old))
        return -1;
    same = js_strict_eq(ctx, old, s);
    JS_FreeValue(ctx, old);
    return same;
}

static int write_string(Out *out, JSValueConst s, Text was)
{
    size_t size;
    const char *text;
    int status = same_string(out->ctx, s, was);
    if (status)
        return status < 0 ? -1 : put_text(out, was);
    text = JS_ToCStringLen(out->ctx, &size, s);
    if (!text)
        return -1;
    status = put_quoted(out, (const uint8_t *)text, size);
    JS_FreeCString(out->ctx, text);
    return status;
}

static int write_number(Out *out, double d, Text was)
{
    char text[64];
    JSDTOATempMem memory;
    if (was.begin && (*was.begin == '-' || (*was.begin >= '0' && *was.begin <= '9'))) {
        double old = 0;
        JSValue v = read_text(out->ctx, was);
        JS_ToFloat64(out->ctx, &old, v);
        if (old == d && !signbit(old) == !signbit(d))
            return put_text(out, was);
    }
    if (!isfinite(d)) {
        JS_ThrowTypeError(out->ctx, "a document cannot hold the number %s", isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
        return -1;
    }
    return put(out, text, js_dtoa(text, d, 10, 0, JS_DTOA_FORMAT_FREE, &memory));
}

static int write_value(Out *out, JSValueConst v, Text was, int depth);

static int write_array(Out *out, JSValueConst array, Text was, int depth)
{
    JSContext *ctx = out->ctx;
    const uint8_t *at = was.begin && *was.begin == '[' ? was.begin + 1 : NULL;
    int64_t i, n;
    if (js_get_length64(ctx, &n, array) || put_byte(out, '['))
        return -1;
    for (i = 0; i < n; i++) {
        Text old = { 0 };
        JSValue v = JS_GetPropertyInt64(ctx, array, i);
        int status;
        if (JS_IsException(v))
            return -1;
        if (at && !next_item(&at, was.end, NULL, &old))
            at = NULL;
        status = i > 0 ? put_byte(out, ',') : 0;
        if (status == 0 && (status = write_value(out, v, old, depth)) == 1)
            status = put(out, "null", 4);
        JS_FreeValue(ctx, v);
        if (status)
            return -1;
    }
    return put_byte(out, ']');
}

/* write_member writes one member, or nothing if JSON has no word for its value. */
static int write_member(Out *out, JSValueConst object, JSAtom key, Text name, Text was, int *first, int depth)
{
    JSContext *ctx = out->ctx;
    size_t mark = out->size;
    JSValue v = JS_GetProperty(ctx, object, key);
    int status = -1;
    if (JS_IsException(v))
        return -1;
    if (JS_IsUndefined(v) || JS_IsFunction(ctx, v) || JS_IsSymbol(v)) {
        JS_FreeValue(ctx, v);
        return 0;
    }
    if (!*first && put_byte(out, ','))
        goto done;
    if (name.begin) {
        if (put_text(out, name))
            goto done;
    } else {
        JSValue text = JS_AtomToString(ctx, key);
        if (JS_IsException(text) || write_string(out, text, name))
            goto done;
        JS_FreeValue(ctx, text);
    }
    if (put_byte(out, ':'))
        goto done;
    status = write_value(out, v, was, depth);
    if (status == 1)
        out->size = mark;      /* its toJSON has no word for it */
    else if (status == 0)
        *first = 0;
done:
    JS_FreeValue(ctx, v);
    return status < 0 ? -1 : 0;
}

static int write_object(Out *out, JSValueConst object, Text was, int depth)
{
    JSContext *ctx = out->ctx;
    JSPropertyEnum *keys;
    uint32_t n, i, next = 0;
    const uint8_t *at = was.begin && *was.begin == '{' ? was.begin + 1 : NULL;
    Text name, old, none = { 0 };
    int first = 1;
    if (JS_GetOwnPropertyNames(ctx, &keys, &n, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY))
        return -1;
    if (put_byte(out, '{'))
        return -1;
    /* What the object had before comes first, in the order and with the names of then. */
    while (at && next_item(&at, was.end, &name, &old)) {
        const uint8_t *p = name.begin;
        JSAtom key = read_name(ctx, &p, name.end);
        if (key == JS_ATOM_NULL)
            return -1;
        for (i = 0; i < n && keys[(next + i) % n].atom != key; i++)
            ;
        if (i < n) {
            next = (next + i) % n;
            if (write_member(out, object, key, name, old, &first, depth))
                return -1;
            JS_FreeAtom(ctx, keys[next].atom);
            keys[next].atom = JS_ATOM_NULL;
            next = (next + 1) % n;
        }
        JS_FreeAtom(ctx, key);
    }
    for (i = 0; i < n; i++)
        if (keys[i].atom != JS_ATOM_NULL && write_member(out, object, keys[i].atom, none, none, &first, depth))
            return -1;
    js_free_prop_enum(ctx, keys, n);
    return put_byte(out, '}');
}

/* write_value writes v, whose text once was was. It returns 0; 1 and no text if JSON has no word for v; -1 with an
 * exception. What it has allocated by then is left: the call is over. */
static int write_value(Out *out, JSValueConst v, Text was, int depth)
{
    JSContext *ctx = out->ctx;
    switch (JS_VALUE_GET_NORM_TAG(v)) {
    case JS_TAG_NULL:
        return put(out, "null", 4);
    case JS_TAG_BOOL:
        return JS_VALUE_GET_BOOL(v) ? put(out, "true", 4) : put(out, "false", 5);
    case JS_TAG_INT:
        return write_number(out, JS_VALUE_GET_INT(v), was);
    case JS_TAG_FLOAT64:
        return write_number(out, JS_VALUE_GET_FLOAT64(v), was);
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        return write_string(out, v, was);
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
        JS_ThrowTypeError(ctx, "a document cannot hold a BigInt");
        return -1;
    case JS_TAG_OBJECT:
        break;
    default:
        return 1;
    }
    if (depth > 256 || js_check_stack_overflow(ctx->rt, 0)) {
        JS_ThrowTypeError(ctx, "the document is nested too deeply, or contains itself");
        return -1;
    }
    {
        JSValue f = JS_GetProperty(ctx, v, JS_ATOM_toJSON), plain;
        int status;
        if (JS_IsException(f))
            return -1;
        if (JS_IsFunction(ctx, f)) {
            plain = JS_Call(ctx, f, v, 0, NULL);
        } else {
            int class = JS_VALUE_GET_OBJ(v)->class_id;
            if (class != JS_CLASS_NUMBER && class != JS_CLASS_STRING && class != JS_CLASS_BOOLEAN) {
                JS_FreeValue(ctx, f);
                if (JS_IsFunction(ctx, v))
                    return 1;
                status = JS_IsArray(ctx, v);
                if (status < 0)
                    return -1;
                return status ? write_array(out, v, was, depth + 1) : write_object(out, v, was, depth + 1);
            }
            plain = JS_DupValue(ctx, JS_VALUE_GET_OBJ(v)->u.object_data);
        }
        JS_FreeValue(ctx, f);
        if (JS_IsException(plain))
            return -1;
        if (JS_VALUE_GET_TAG(plain) == JS_TAG_OBJECT && !JS_IsFunction(ctx, plain))
            status = JS_IsArray(ctx, plain) ? write_array(out, plain, was, depth + 1) : write_object(out, plain, was, depth + 1);
        else
            status = write_value(out, plain, was, depth + 1);
        JS_FreeValue(ctx, plain);
        return status;
    }
}
