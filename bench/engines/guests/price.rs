//! Nobody asks for more than 100.

use sluice::{allow, deny, Decision, Event};

sluice::guest! { policy: policy }

fn policy(e: &Event) -> Decision {
    match e.after.number("price") {
        Some(price) if price <= 100.0 => allow(),
        _ => deny("price_too_high", "Set a price of 100 or less."),
    }
}
