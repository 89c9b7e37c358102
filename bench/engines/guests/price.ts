import { allow, answer, Decision, deny, Event } from "../assembly/index";

export { abi_version, alloc } from "../assembly/index";

export function policy(op: i32, size: i32): i64 { return answer(op, size, judge); }

/** Nobody asks for more than 100. */
function judge(e: Event): Decision {
  if (e.after.number("price") <= 100) return allow();
  return deny("price_too_high", "Set a price of 100 or less.");
}
