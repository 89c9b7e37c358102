import { allow, deny } from "sluice";

/** Nobody asks for more than 100. */
export function policy({ after }) {
  return after.price <= 100 ? allow() : deny("price_too_high", "Set a price of 100 or less.");
}
