// A guest for tests of the library: its hook gives a document back, made anew from all that the scanner reads in it. If the two
// differ, the scanner or the writer is wrong. Package hooktest asks it about documents of all kinds, broken ones too.

import { answer, Decision, Edit, Event, replace, Value } from "../assembly/index";

export { abi_version, alloc } from "../assembly/index";

export function hook(op: i32, size: i32): i64 { return answer(op, size, echo); }

function echo(e: Event): Decision {
  const names = e.after.names(), out = new Edit();
  for (let i = 0; i < names.length; i++) put(out, names[i], e.after.get(names[i]));
  return replace(out.object());
}

function put(out: Edit, name: string, v: Value): void {
  const text = v.asString(), number = v.asNumber();
  if (text != null) {
    out.setString(name, text);
  } else if (!isNaN(number)) {
    const whole = v.asInt(0) == v.asInt(1); // otherwise it is none, or does not fit
    if (whole && <f64>v.asInt() != number) throw new Error("a whole number is not itself");
    out.setNumber(name, number);
  } else if (v.isBool) {
    out.setBool(name, v.isTrue);
  } else if (v.isNull) {
    out.setNull(name);
  } else if (v.asObject().exists) {
    out.setObject(name, new Edit(v.asObject()).object());
  } else if (v.size && load<u8>(v.at) == 0x5b) {
    let list = "";
    const items = v.items();
    for (let i = 0; i < items.length; i++) list += (i ? "," : "") + items[i].toString();
    out.setJSON(name, "[" + list + "]");
  } else {
    out.setJSON(name, v.toString()); // a number that is too large, or no JSON
  }
}
