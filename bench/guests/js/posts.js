// A price above 100 is refused, and the title is rewritten.
import { allow, deny } from "sluice";

export function beforeInsert({ after }) {
  if (after.price > 100) return deny("posts.price_too_high", "price must be <= 100");
  after.title = after.title.toLowerCase();
  return allow();
}
