/**
 * What a guest module for Sluice, written in AssemblyScript, imports. A guest decides about writes and reads of a project's
 * documents, as a policy (may this caller do this?) or as a hook (shall the document be so?):
 *
 *	import { allow, answer, Decision, deny, Event } from "./sluice";
 *	export { abi_version, alloc } from "./sluice";
 *
 *	export function policy(op: i32, size: i32): i64 { return answer(op, size, decide); }
 *
 *	function decide(e: Event): Decision {
 *		if (e.after.number("price") > 100) return deny("posts.price_too_high", "Set a price of 100 or less.");
 *		return allow();
 *	}
 *
 * Documents are UTF-8 text that is read when asked; nothing is parsed before. Build with `--runtime stub`, which never frees:
 * after each event the host puts the guest's memory back as it was, globals included. `--use abort=` names abort below, so that
 * what a guest throws reaches the project's log. The scanner walks JSON that the host wrote, which is valid; on anything else
 * it stops early, and it never reads past the end.
 */

// ---- The host ----

@external("sluice", "log") declare function hostLog(level: i32, at: usize, size: i32): void;
@external("sluice", "get") declare function hostGet(collection: usize, n: i32, id: usize, idSize: i32, out: usize, room: i32): i32;
@external("sluice", "find") declare function hostFind(collection: usize, n: i32, query: usize, size: i32, out: usize, room: i32): i32;
@external("sluice", "count") declare function hostCount(collection: usize, n: i32, query: usize, size: i32): i64;
@external("sluice", "config") declare function hostConfig(out: usize, room: i32): i32;

/** How much a log line matters. */
export enum Level { Debug = 0, Info = 1, Warn = 2, Error = 3 }

/** Writes one line to the project's log. The host keeps a few short lines of each event. */
export function log(level: Level, line: string): void {
  const text = String.UTF8.encode(line);
  hostLog(level, changetype<usize>(text), text.byteLength);
}

/** What `throw` and failed assertions end in: the operation is refused, and the log has the message. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  log(Level.Error, (message ? message : "abort") + " (" + (file ? file : "?") + ":" + line.toString() + ":" + column.toString() + ")");
  unreachable();
}

// ---- The scanner: positions are addresses, 0 is none ----

function skipSpace(at: usize, end: usize): usize {
  while (at < end) {
    const c = load<u8>(at);
    if (c > 0x20 || (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d)) break;
    at++;
  }
  return at;
}

const ONES: u64 = 0x0101010101010101;

/** Marks, of eight bytes, the lowest one that is c, and none below it. */
// @ts-ignore: decorator
@inline
function mark(word: u64, c: u64): u64 {
  const x = word ^ (ONES * c);
  return (x - ONES) & ~x & (ONES << 7);
}

/** Returns the address of the first quote or backslash; the end if there is none. */
function findSpecial(at: usize, end: usize): usize {
  for (; end - at >= 8; at += 8) {
    const word = load<u64>(at);
    const found = mark(word, 0x22) | mark(word, 0x5c);
    if (found) return at + (<usize>ctz(found) >> 3);
  }
  while (at < end && load<u8>(at) != 0x22 && load<u8>(at) != 0x5c) at++;
  return at;
}

/** Returns the address after the string whose first quote is at at. */
function skipString(at: usize, end: usize): usize {
  at = findSpecial(at + 1, end);
  while (at < end) {
    if (load<u8>(at) == 0x22) return at + 1;
    if (end - at < 2) break;
    at = findSpecial(at + 2, end);
  }
  return 0;
}

/** Returns the address after the value at at. */
function skipValue(at: usize, end: usize): usize {
  if (at >= end) return 0;
  const first = load<u8>(at);
  if (first == 0x22) return skipString(at, end);
  if ((first | 0x20) != 0x7b) { // "[" | 0x20 is "{", and "]" | 0x20 is "}"
    const start = at;
    while (at < end) {
      const c = load<u8>(at);
      if (c <= 0x20 || c == 0x2c || (c | 0x20) == 0x7d) break;
      at++;
    }
    return at == start ? 0 : at;
  }
  let depth = 0;
  while (at < end) {
    const c = load<u8>(at);
    if (c == 0x22) {
      at = skipString(at, end);
      if (!at) return 0;
      continue;
    }
    at++;
    if ((c | 0x20) == 0x7b) depth++;
    else if ((c | 0x20) == 0x7d && --depth == 0) return at;
  }
  return 0;
}

/** Walks the members of an object or the items of an array. */
class Cursor {
  at: usize = 0; // the next member or item; 0: there is none
  end: usize;
  nameAt: usize = 0; // of the last member, with the quotes
  nameSize: usize = 0;
  valueAt: usize = 0;
  valueSize: usize = 0;

  constructor(at: usize, size: usize, open: u8) {
    const end = at + size;
    this.end = end;
    at = skipSpace(at, end);
    if (at < end && load<u8>(at) == open) {
      at = skipSpace(at + 1, end);
      if (at < end && load<u8>(at) != open + 2) this.at = at; // "{" + 2 is "}", "[" + 2 is "]"
    }
  }

  item(): bool {
    const start = this.at, end = this.end;
    this.at = 0;
    if (!start) return false;
    const stop = skipValue(start, end);
    if (!stop) return false;
    this.valueAt = start;
    this.valueSize = stop - start;
    const next = skipSpace(stop, end);
    if (next < end && load<u8>(next) == 0x2c) this.at = skipSpace(next + 1, end);
    return true;
  }

  member(): bool {
    const start = this.at, end = this.end;
    this.at = 0;
    if (!start || start >= end || load<u8>(start) != 0x22) return false;
    const stop = skipString(start, end);
    if (!stop) return false;
    const colon = skipSpace(stop, end);
    if (colon >= end || load<u8>(colon) != 0x3a) return false;
    this.nameAt = start;
    this.nameSize = stop - start;
    this.at = skipSpace(colon + 1, end);
    return this.item();
  }

  /** Tells whether the last member's name is want. */
  named(want: string): bool {
    const n = want.length, at = this.nameAt + 1, size = <i32>this.nameSize - 2;
    let i = 0;
    if (size >= n) {
      while (i < n) {
        const c = load<u16>(changetype<usize>(want) + (<usize>i << 1));
        if (<u16>load<u8>(at + i) != c || c >= 0x80 || c == 0x5c) break;
        i++;
      }
      if (i == n && size == n) return true;
    }
    // A name with escapes, or beyond ASCII, is longer in the text.
    if (size <= n) return false;
    for (i = 0; i < size; i++) {
      const c = load<u8>(at + i);
      if (c >= 0x80 || c == 0x5c) return unquote(this.nameAt, this.nameSize) == want;
    }
    return false;
  }
}

function hex4(at: usize, end: usize): i32 {
  if (end - at < 4 || at > end) return 0xfffd;
  let value = 0;
  for (let i: usize = 0; i < 4; i++) {
    const c = <i32>load<u8>(at + i), low = c | 0x20;
    if (c >= 0x30 && c <= 0x39) value = value << 4 | (c - 0x30);
    else if (low >= 0x61 && low <= 0x66) value = value << 4 | (low - 0x57);
    else return 0xfffd;
  }
  return value;
}

/** Returns what a JSON string with its quotes stands for. Half surrogate pairs become U+FFFD. */
function unquote(at: usize, size: usize): string {
  const end = at + size - 1;
  at++;
  let special = findSpecial(at, end);
  if (special == end) return String.UTF8.decodeUnsafe(at, end - at);
  const b = new Buffer(size); // what it stands for is never longer
  while (true) {
    b.put(at, special - at);
    if (end - special < 2) break;
    const c = load<u8>(special + 1);
    at = special + 2;
    if (c == 0x75) {
      let r = hex4(at, end);
      at = end - at < 4 ? end : at + 4;
      if (r >> 11 == 0xd800 >> 11) {
        let low = 0;
        if (r < 0xdc00 && end - at >= 2 && load<u8>(at) == 0x5c && load<u8>(at + 1) == 0x75) low = hex4(at + 2, end);
        if (low >> 10 == 0xdc00 >> 10) {
          r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        } else {
          r = 0xfffd;
        }
      }
      b.rune(r);
    } else if (c == 0x62) b.byte(0x08);
    else if (c == 0x66) b.byte(0x0c);
    else if (c == 0x6e) b.byte(0x0a);
    else if (c == 0x72) b.byte(0x0d);
    else if (c == 0x74) b.byte(0x09);
    else b.byte(c);
    special = findSpecial(at, end);
  }
  return String.UTF8.decodeUnsafe(b.at, b.size);
}

/** Text in the making, as UTF-8. */
class Buffer {
  at: usize;
  size: usize = 0;
  room: usize;

  constructor(room: usize) {
    this.at = heap.alloc(room);
    this.room = room;
  }

  /** Returns where n more bytes go, and counts them in. */
  more(n: usize): usize {
    const start = this.size, size = start + n;
    if (size > this.room) {
      this.room = size + (size >> 1);
      this.at = heap.realloc(this.at, this.room);
    }
    this.size = size;
    return this.at + start;
  }

  put(at: usize, n: usize): void { memory.copy(this.more(n), at, n); }

  byte(c: u8): void { store<u8>(this.more(1), c); }

  ascii(s: string): void {
    const n = s.length, to = this.more(n);
    for (let i = 0; i < n; i++) store<u8>(to + i, load<u16>(changetype<usize>(s) + (<usize>i << 1)));
  }

  rune(r: i32): void {
    const n = r < 0x80 ? 1 : r < 0x800 ? 2 : r < 0x10000 ? 3 : 4, to = this.more(n);
    for (let k = n - 1; k > 0; k--, r >>= 6) store<u8>(to + k, 0x80 | (r & 0x3f));
    store<u8>(to, n == 1 ? r : (0xff00 >> n & 0xff) | r);
  }

  int(value: i64): void {
    let left = value < 0 ? -(<u64>value) : <u64>value, n = value < 0 ? 2 : 1;
    for (let k = left; k >= 10; k /= 10) n++;
    let to = this.more(n) + n;
    do {
      store<u8>(--to, 0x30 + <u8>(left % 10));
      left /= 10;
    } while (left);
    if (value < 0) store<u8>(--to, 0x2d);
  }

  /** Writes a JSON string. Half surrogate pairs become U+FFFD. */
  quote(s: string): void {
    const n = s.length;
    this.byte(0x22);
    for (let i = 0; i < n; i++) {
      let c = <i32>load<u16>(changetype<usize>(s) + (<usize>i << 1));
      if (c == 0x22 || c == 0x5c) {
        this.byte(0x5c);
        this.byte(<u8>c);
      } else if (c < 0x20) {
        this.ascii(c < 0x10 ? "\\u000" : "\\u001");
        this.byte(<u8>((c & 15) < 10 ? 0x30 + (c & 15) : 0x57 + (c & 15)));
      } else if (c < 0x80) {
        this.byte(<u8>c);
      } else {
        if (c >> 11 == 0xd800 >> 11) {
          const low = c < 0xdc00 && i + 1 < n ? <i32>load<u16>(changetype<usize>(s) + (<usize>i << 1), 2) : 0;
          if (low >> 10 == 0xdc00 >> 10) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
          } else {
            c = 0xfffd;
          }
        }
        this.rune(c);
      }
    }
    this.byte(0x22);
  }
}

// ---- Numbers ----

/**
 * A large number for reading decimals exactly: word 36 is that of the ones, those below it are its fraction; more says that
 * something was cut off below. There is room for 800 digits, and no number halfway between two doubles has more.
 */
class Big {
  words: usize = heap.alloc(512);
  more: bool = false;

  constructor() { memory.fill(this.words, 0, 512); }

  multiply(by: u64, add: u64): void {
    let carry: u64 = 0;
    for (let i: usize = 0; i < 512; i += 4) {
      carry += <u64>load<u32>(this.words + i) * by + (i == 144 ? add : 0);
      store<u32>(this.words + i, <u32>carry);
      carry >>= 32;
    }
  }

  divide(by: u64): void {
    let rest: u64 = 0;
    for (let i: usize = 508; i < 512; i -= 4) {
      rest = rest << 32 | load<u32>(this.words + i);
      store<u32>(this.words + i, <u32>(rest / by));
      rest %= by;
    }
    this.more = this.more || rest != 0;
  }

  /** Multiplies by ten to the power of exponent. */
  scale(exponent: i32): void {
    for (; exponent >= 9; exponent -= 9) this.multiply(1000000000, 0);
    for (; exponent > 0; exponent--) this.multiply(10, 0);
    for (; exponent <= -9; exponent += 9) this.divide(1000000000);
    for (; exponent < 0; exponent++) this.divide(10);
  }

  /** Returns the nearest double, halves to the even one; NaN if there is none: too large. */
  nearest(): f64 {
    const words = this.words;
    let high: usize = 508;
    while (high > 4 && !load<u32>(words + high)) high -= 4;
    if (high == 4) return 0;
    const free = clz(load<u32>(words + high)), exponent = (<i32>high - 144) * 8 + 31 - free;
    const drop = exponent >= -1022 ? 11 : 11 - 1022 - exponent; // the smallest doubles have fewer bits
    if (drop > 64) return 0;
    const next = <u64>load<u32>(words + high - 8) << free;
    let more = this.more || <u32>next != 0;
    for (let i: usize = 0; i < high - 8; i += 4) more = more || load<u32>(words + i) != 0;
    const top = (<u64>load<u32>(words + high) << 32 | load<u32>(words + high - 4)) << free | next >> 32; // the first 64 bits
    const half = <u64>1 << (drop - 1), cut = top & (half | (half - 1));
    let bits: u64 = drop < 64 ? top >> drop : 0;
    if (cut > half || (cut == half && (more || (bits & 1)))) bits++;
    if (exponent >= -1022) bits += <u64>(exponent + 1022) << 52; // a carry out of the fraction raises the exponent
    return bits >= <u64>0x7ff << 52 ? NaN : reinterpret<f64>(bits);
  }
}

/** Reads a JSON number; NaN if the text is none, or too large for a double. */
function parseNumber(at: usize, size: usize): f64 {
  const start = at, end = at + size, minus = at < end && load<u8>(at) == 0x2d;
  let dot = false, any = false, digits = 0, exponent = 0, value = 0.0;
  if (minus) at++;
  for (; at < end; at++) {
    const c = load<u8>(at);
    if (c == 0x2e && any && !dot) {
      dot = true;
      any = false;
      continue;
    }
    const digit = c - 0x30;
    if (digit > 9) break;
    any = true;
    if (digits || digit) digits++;
    if (dot) exponent--;
    value = value * 10 + <f64>digit;
  }
  if (!any) return NaN;
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    let e = 0;
    at++;
    const less = at < end && load<u8>(at) == 0x2d;
    if (at < end && (less || load<u8>(at) == 0x2b)) at++;
    any = false;
    for (; at < end; at++) {
      const digit = load<u8>(at) - 0x30;
      if (digit > 9) break;
      any = true;
      if (e < 100000000) e = e * 10 + digit;
    }
    exponent += less ? -e : e;
  }
  if (!any || at < end) return NaN;
  if (!digits) {
    value = 0;
  } else if (digits <= 15 && exponent >= -22 && exponent <= 22) { // both are exact, so there is one rounding
    let tens = 1.0;
    for (let k = abs(exponent); k > 0; k--) tens *= 10;
    value = exponent < 0 ? value / tens : value * tens;
  } else {
    value = parseSlowly(start, end, digits, exponent);
  }
  return minus ? -value : value;
}

function parseSlowly(at: usize, end: usize, digits: i32, exponent: i32): f64 {
  if (exponent + digits < -330) return 0;
  if (exponent + digits > 310) return NaN;
  const big = new Big();
  let read = 0;
  for (; at < end; at++) {
    const c = load<u8>(at), digit = c - 0x30;
    if ((c | 0x20) == 0x65) break;
    if (digit > 9) continue; // sign or point
    if (read || digit) read++;
    if (read <= 800) big.multiply(10, digit);
    else big.more = big.more || digit != 0;
  }
  big.scale(digits > 800 ? exponent + digits - 800 : exponent);
  return big.nearest();
}

// ---- Values ----

/** Any JSON value, as text in the event. A missing one is not null. */
export class Value {
  constructor(
    /** The address of its JSON text, and its size; 0 if it is missing. */
    readonly at: usize,
    readonly size: usize,
  ) {}

  get exists(): bool { return this.size > 0; }
  get isNull(): bool { return this.size == 4 && load<u32>(this.at) == 0x6c6c756e; }
  get isString(): bool { return this.size > 1 && load<u8>(this.at) == 0x22; }
  get isNumber(): bool { return !isNaN(this.asNumber()); }
  get isBool(): bool { return this.isTrue || (this.size == 5 && load<u32>(this.at) == 0x736c6166 && load<u8>(this.at, 4) == 0x65); }
  get isTrue(): bool { return this.size == 4 && load<u32>(this.at) == 0x65757274; }

  /** Returns the value if it is a string, else null. */
  asString(): string | null { return this.isString ? unquote(this.at, this.size) : null; }

  /** Returns the value if it is a number, else NaN: any comparison with that is false. */
  asNumber(): f64 { return this.size ? parseNumber(this.at, this.size) : NaN; }

  /** Returns the value if it is a number written without point and exponent that fits in 64 bits, else otherwise. */
  asInt(otherwise: i64 = 0): i64 {
    let at = this.at, value: u64 = 0;
    const end = at + this.size, minus = at < end && load<u8>(at) == 0x2d;
    const most = <u64>i64.MAX_VALUE + (minus ? 1 : 0);
    if (minus) at++;
    if (at == end) return otherwise;
    for (; at < end; at++) {
      const digit = <u64>(load<u8>(at) - 0x30);
      if (digit > 9 || value > (most - digit) / 10) return otherwise;
      value = value * 10 + digit;
    }
    return minus ? -(<i64>value) : <i64>value;
  }

  /** Returns the value if it is an object, else the missing one. */
  asObject(): Obj { return this.size && load<u8>(this.at) == 0x7b ? new Obj(this.at, this.size) : new Obj(0, 0); }

  /** Returns the items of an array; none if the value is no array. */
  items(): Value[] {
    const list: Value[] = [], c = new Cursor(this.at, this.size, 0x5b);
    while (c.item()) list.push(new Value(c.valueAt, c.valueSize));
    return list;
  }

  /** Returns the JSON text; empty if the value is missing. */
  toString(): string { return String.UTF8.decodeUnsafe(this.at, this.size); }
}

/** A JSON object: a document, or one within a document. A missing one has no members. */
export class Obj {
  constructor(
    /** The address of its JSON text, and its size; 0 if it is missing. */
    readonly at: usize,
    readonly size: usize,
  ) {}

  /** Tells whether there is an object at all: `before` of an insert is missing. */
  get exists(): bool { return this.size > 0; }

  /** Returns a member's value; the missing one if there is no such member. The first of two of one name counts. */
  get(name: string): Value {
    const c = new Cursor(this.at, this.size, 0x7b);
    while (c.member()) if (c.named(name)) return new Value(c.valueAt, c.valueSize);
    return new Value(0, 0);
  }

  /** Tells whether there is a member of that name, whatever its value. */
  has(name: string): bool { return this.get(name).exists; }

  /** Returns a member that is a string, else null. */
  str(name: string): string | null { return this.get(name).asString(); }

  /** Returns a member that is a number, else NaN: any comparison with that is false. */
  number(name: string): f64 { return this.get(name).asNumber(); }

  /** Returns a member that is a whole number and fits, else otherwise. */
  int(name: string, otherwise: i64 = 0): i64 { return this.get(name).asInt(otherwise); }

  /** Tells whether a member is there and true. */
  isTrue(name: string): bool { return this.get(name).isTrue; }

  /** Returns a member that is an object, else the missing one. */
  object(name: string): Obj { return this.get(name).asObject(); }

  /** Returns the items of a member that is an array; none otherwise. */
  items(name: string): Value[] { return this.get(name).items(); }

  /** Returns the names of the members in their order. */
  names(): string[] {
    const list: string[] = [], c = new Cursor(this.at, this.size, 0x7b);
    while (c.member()) list.push(unquote(c.nameAt, c.nameSize));
    return list;
  }

  /** Returns the JSON text; empty if the object is missing. */
  toString(): string { return String.UTF8.decodeUnsafe(this.at, this.size); }

  /** Takes JSON text as an object; the missing one if it is none. */
  static parse(text: string): Obj {
    const bytes = String.UTF8.encode(text);
    return parseObject(changetype<usize>(bytes), bytes.byteLength);
  }
}

function parseObject(at: usize, size: usize): Obj {
  const end = at + size, start = skipSpace(at, end);
  const stop = start < end && load<u8>(start) == 0x7b ? skipValue(start, end) : 0;
  return stop ? new Obj(start, stop - start) : new Obj(0, 0);
}

// ---- Editing ----

/** The last word on one member. */
class Change {
  at: usize = 0; // JSON text; 0: remove the member
  size: usize = 0;
  written: bool = false;
  constructor(readonly name: string) {}
}

/**
 * Makes a new object, usually from an old one: members keep their place and text unless they are set or removed, new ones come
 * last. The last word on a name counts.
 */
export class Edit {
  private changes: Change[] = [];

  /** Begins with the members of an object; with none without one. */
  constructor(private base: Obj = new Obj(0, 0)) {}

  setString(name: string, value: string): Edit {
    const b = new Buffer(value.length + 2);
    b.quote(value);
    return this.change(name, b.at, b.size);
  }

  setInt(name: string, value: i64): Edit {
    const b = new Buffer(20);
    b.int(value);
    return this.change(name, b.at, b.size);
  }

  /** Sets a member to a number; to null if JSON cannot write it (an infinity, not a number). */
  setNumber(name: string, value: f64): Edit {
    if (!isFinite(value)) return this.setNull(name);
    if (abs(value) < 9e15 && <f64>(<i64>value) == value && reinterpret<u64>(value) != <u64>1 << 63) return this.setInt(name, <i64>value);
    return this.setJSON(name, value.toString());
  }

  setBool(name: string, value: bool): Edit { return this.setJSON(name, value ? "true" : "false"); }

  setNull(name: string): Edit { return this.setJSON(name, "null"); }

  /** Sets a member to an object; to null if it is missing. */
  setObject(name: string, value: Obj): Edit { return value.exists ? this.change(name, value.at, value.size) : this.setNull(name); }

  /** Sets a member to an array of objects. */
  setObjects(name: string, values: Obj[]): Edit {
    const b = new Buffer(64);
    b.byte(0x5b);
    for (let i = 0; i < values.length; i++) {
      if (i) b.byte(0x2c);
      b.put(values[i].at, values[i].size);
    }
    b.byte(0x5d);
    return this.change(name, b.at, b.size);
  }

  /** Sets a member to JSON text, which the caller answers for. */
  setJSON(name: string, json: string): Edit {
    const text = String.UTF8.encode(json);
    return this.change(name, changetype<usize>(text), text.byteLength);
  }

  /** Leaves a member out. */
  remove(name: string): Edit { return this.change(name, 0, 0); }

  private change(name: string, at: usize, size: usize): Edit {
    const changes = this.changes;
    let i = 0;
    while (i < changes.length && changes[i].name != name) i++;
    if (i == changes.length) changes.push(new Change(name));
    changes[i].at = at;
    changes[i].size = size;
    return this;
  }

  /** Returns what was made. The edit may be used on. */
  object(): Obj {
    const changes = this.changes, n = changes.length, c = new Cursor(this.base.at, this.base.size, 0x7b);
    let room = this.base.size + 2;
    for (let i = 0; i < n; i++) {
      changes[i].written = false;
      room += <usize>changes[i].name.length + changes[i].size + 8;
    }
    const b = new Buffer(room);
    b.byte(0x7b);
    while (c.member()) {
      let at = c.valueAt, size = c.valueSize;
      for (let i = 0; i < n; i++) {
        const change = changes[i];
        if (!c.named(change.name)) continue;
        change.written = true;
        at = change.at;
        size = change.size;
        break;
      }
      if (!at) continue;
      if (b.size > 1) b.byte(0x2c);
      b.put(c.nameAt, c.nameSize);
      b.byte(0x3a);
      b.put(at, size);
    }
    for (let i = 0; i < n; i++) {
      const change = changes[i];
      if (change.written || !change.at) continue;
      if (b.size > 1) b.byte(0x2c);
      b.quote(change.name);
      b.byte(0x3a);
      b.put(change.at, change.size);
    }
    b.byte(0x7d);
    return new Obj(b.at, b.size);
  }
}

// ---- Reading ----

/**
 * Asks for documents: all whose members are as the conditions have it. Conditions are objects: `{"price":{"gt":5}}` is made by
 * `new Edit().setObject("price", new Edit().setInt("gt", 5).object()).object()`. docs/abi.md has the language.
 */
export class Query {
  private query: Edit = new Edit();
  private groups: Obj[] = [];

  /** All of these conditions must hold. */
  all(conditions: Obj): Query {
    this.query.setObject("where", conditions);
    return this;
  }

  /** Adds a group of conditions. One group, of those that were added, must hold as a whole. */
  any(conditions: Obj): Query {
    this.groups.push(conditions);
    this.query.setObjects("any", this.groups);
    return this;
  }

  /** Orders what is found by a member; one with a minus before its name downwards. It has no meaning in a filter. */
  sort(by: string): Query {
    this.query.setString("sort", by);
    return this;
  }

  /** Bounds how many documents are found. It has no meaning in a filter. */
  limit(most: i32): Query {
    this.query.setInt("limit", most);
    return this;
  }

  object(): Obj { return this.query.object(); }
}

/** Most documents fit at once; for one that does not, the host is asked again. */
const ROOM = 4096;

// What a guest reads comes from the state on which the request is judged: a write that was allowed by it takes place only if it
// still holds. The manifest must grant each collection (grants.read); reading any other refuses the operation, and so does
// reading too much.

/** Returns the document of a collection that has the given _id; the missing one if there is none. */
export function get(collection: string, id: string): Obj {
  const c = String.UTF8.encode(collection), text = String.UTF8.encode(id);
  let at = heap.alloc(ROOM), n = hostGet(changetype<usize>(c), c.byteLength, changetype<usize>(text), text.byteLength, at, ROOM);
  if (n > ROOM) {
    at = heap.alloc(n);
    n = hostGet(changetype<usize>(c), c.byteLength, changetype<usize>(text), text.byteLength, at, n);
  }
  return n < 0 ? new Obj(0, 0) : parseObject(at, n);
}

/** Returns the documents that a query finds, in its order. */
export function find(collection: string, query: Query): Obj[] {
  const c = String.UTF8.encode(collection), q = query.object();
  let at = heap.alloc(ROOM), n = hostFind(changetype<usize>(c), c.byteLength, q.at, <i32>q.size, at, ROOM);
  if (n > ROOM) {
    at = heap.alloc(n);
    n = hostFind(changetype<usize>(c), c.byteLength, q.at, <i32>q.size, at, n);
  }
  const list: Obj[] = [], cursor = new Cursor(at, n, 0x5b);
  while (cursor.item()) list.push(new Obj(cursor.valueAt, cursor.valueSize));
  return list;
}

/** Returns how many documents a query finds. */
export function count(collection: string, query: Query): i64 {
  const c = String.UTF8.encode(collection), q = query.object();
  return hostCount(changetype<usize>(c), c.byteLength, q.at, <i32>q.size);
}

/** Returns what the bundle's manifest has under config. It may be read in init. */
export function config(): Obj {
  let at = heap.alloc(ROOM), n = hostConfig(at, ROOM);
  if (n > ROOM) {
    at = heap.alloc(n);
    n = hostConfig(at, n);
  }
  return parseObject(at, n);
}

// ---- Events ----

/** What a caller does. */
export enum Op { Insert = 1, Update = 2, Delete = 3, Read = 4, Filter = 5, Signup = 6, Claims = 7, Upload = 8 }

/** Who asks. */
export class Caller {
  private roleValue: Value = new Value(0, 0);
  private userIdValue: Value = new Value(0, 0);
  /** Of the caller's token. */
  claims: Obj = new Obj(0, 0);

  constructor(at: usize, size: usize) {
    const c = new Cursor(at, size, 0x7b);
    while (c.member()) {
      if (c.named("role")) this.roleValue = new Value(c.valueAt, c.valueSize);
      else if (c.named("userId")) this.userIdValue = new Value(c.valueAt, c.valueSize);
      else if (c.named("claims")) this.claims = new Obj(c.valueAt, c.valueSize);
    }
  }

  /** publishable or secret. */
  get role(): string { return text(this.roleValue); }

  /** null: nobody is logged in. */
  get userId(): string | null { return this.loggedIn ? this.userIdValue.asString() : null; }

  get loggedIn(): bool { return this.userIdValue.isString && this.userIdValue.size > 2; }
}

/** What a guest is asked to judge. */
export class Event {
  private nameValue: Value = new Value(0, 0);
  private collectionValue: Value = new Value(0, 0);
  private requestIdValue: Value = new Value(0, 0);
  private page: Value = new Value(0, 0);
  caller: Caller;
  /** The stored document, the user's profile on claims; missing if there is none. */
  before: Obj;
  /** The document as it would be stored, the profile on signup, what is known of the file on upload; missing if there is none. */
  after: Obj;
  /** Unix milliseconds: the only clock there is. */
  now: i64 = 0;

  constructor(
    /** An operation that the guest does not know means no. */
    readonly op: Op,
    at: usize,
    size: usize,
  ) {
    const none = new Obj(0, 0);
    let before = none, after = none, caller: Caller | null = null;
    const c = new Cursor(at, size, 0x7b);
    while (c.member()) {
      const at = c.valueAt, size = c.valueSize;
      if (c.named("event")) this.nameValue = new Value(at, size);
      else if (c.named("collection")) this.collectionValue = new Value(at, size);
      else if (c.named("caller")) caller = new Caller(at, size);
      else if (c.named("before")) before = load<u8>(at) == 0x7b ? new Obj(at, size) : none;
      else if (c.named("after")) after = load<u8>(at) == 0x7b ? new Obj(at, size) : none;
      else if (c.named("documents")) this.page = new Value(at, size);
      else if (c.named("now")) this.now = new Value(at, size).asInt();
      else if (c.named("requestId")) this.requestIdValue = new Value(at, size);
    }
    this.before = before;
    this.after = after;
    this.caller = caller ? caller : new Caller(0, 0);
  }

  /** policy, filter, beforeInsert, beforeUpdate, beforeDelete, beforeSignup, claims or beforeUpload. */
  get name(): string { return text(this.nameValue); }

  get collection(): string { return text(this.collectionValue); }

  get requestId(): string { return text(this.requestIdValue); }

  /** On read: the documents of the page. */
  get documents(): Value { return this.page; }
}

function text(v: Value): string {
  const s = v.asString();
  return s ? s : "";
}

// ---- Decisions ----

/** A guest's answer. The default says no without a reason, so that a forgotten answer refuses. */
export class Decision {
  constructor(
    readonly yes: bool = false,
    /** JSON: the reason of a no, or what a yes brings along; 0 and 0 if there is none. */
    readonly at: usize = 0,
    readonly size: usize = 0,
  ) {}
}

/** Says yes. A hook leaves the document as it is. */
export function allow(): Decision { return new Decision(true); }

/**
 * Says no with a reason for the caller. code is stable and for programs: at most 64 bytes of a to z, 0 to 9, dot and underscore, as
 * in posts.price_too_high. message is for people and says what to do; over 500 bytes it is cut. status is an HTTP status, 400 to
 * 499; 0 is the host's choice, 422 before a change and 403 else.
 */
export function deny(code: string, message: string, status: i32 = 0): Decision {
  const b = new Buffer(code.length + message.length + 64);
  b.ascii('{"code":');
  b.quote(code);
  b.ascii(',"message":');
  b.quote(String.UTF8.byteLength(message) > 500 ? cut(message) : message);
  if (status) {
    b.ascii(',"status":');
    b.int(status);
  }
  b.byte(0x7d);
  return new Decision(false, b.at, b.size);
}

/** Shortens a message to what the host takes, between two characters. */
function cut(message: string): string {
  const bytes = String.UTF8.encode(message), at = changetype<usize>(bytes);
  let n: usize = 500;
  while (n && (load<u8>(at + n) & 0xc0) == 0x80) n--;
  return String.UTF8.decodeUnsafe(at, n);
}

/** From a hook before an insert, an update or a signup: says yes with another document. */
export function replace(document: Obj): Decision { return new Decision(true, document.at, document.size); }

/** From a filter: lists find only documents that the query finds. */
export function restrict(query: Query): Decision { return replace(query.object()); }

/** From claims: puts the members of an object into the user's access token. */
export function grant(claims: Obj): Decision { return replace(claims); }

/** From a policy on read: says for each document of the page whether the caller may see it. */
export function allowEach(e: Event, may: (e: Event, document: Obj) => bool): Decision {
  const b = new Buffer(64), c = new Cursor(e.documents.at, e.documents.size, 0x5b);
  b.ascii('{"allow":[');
  while (c.item()) {
    if (b.size > 10) b.byte(0x2c);
    b.ascii(may(e, new Value(c.valueAt, c.valueSize).asObject()) ? "true" : "false");
  }
  b.ascii("]}");
  return new Decision(true, b.at, b.size);
}

// ---- The guest contract ----

let events: usize = 0; // the host writes them here

/** To be exported by the guest as it is. */
export function abi_version(): i32 { return 1; }

/** To be exported by the guest as it is. */
export function alloc(size: i32): usize {
  events = heap.alloc(size);
  memory.grow((size >> 16) + 2); // an answer as large as an event, and some room to make it in
  return events;
}

/** Runs one of the guest's functions and packs its answer into the result of the contract. */
export function answer(op: i32, size: i32, decide: (e: Event) => Decision): i64 {
  if (size < 1 || load<u8>(events) != 0x7b) throw new Error("the event is not a JSON object");
  const d = decide(new Event(op, events, size));
  if (!d.at) return d.yes ? 1 : 0;
  return (d.yes ? 0 : i64.MIN_VALUE) | <i64>d.at << 32 | <i64>d.size;
}
