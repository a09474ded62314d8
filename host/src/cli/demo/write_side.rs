//! The write side of the shop: commands are taken once the tables are there.

use super::{example, rows};
use crate::cli::{Context, build, output};
use crate::command::State;
use crate::host::Host;
use crate::read_model::{Cell, Reader};
use anyhow::{Context as _, bail};

/// The example that decides, from the root of the source tree.
const EXAMPLE: &str = "examples/checkout";
/// An order that can be shipped, the newest one.
const PAID: &str =
    "SELECT order_id FROM orders WHERE status = 'paid' ORDER BY placed_at DESC, order_id LIMIT 1";

/// Builds the command handler, has it read the shop's events, and tells what it can be asked.
pub(super) async fn start(context: &Context, host: &mut Host, read_model: &str) -> anyhow::Result<()> {
    if !context.quiet {
        output::remark(&format!("building {EXAMPLE}, the command handler that decides about orders ..."));
    }
    let source = example(EXAMPLE)?;
    let out = context.data.root().join("demo-checkout.wasm");
    let built = tokio::task::block_in_place(|| build::build(&source, &out, &context.config))?;
    host.deployments().file(&built.path).await?;
    let mut status = host.deployments().handler(&built.name)?.status();
    let ready = status.wait_for(|status| status.state == State::Live || status.is_over()).await;
    let ready = ready.context("the command handler is gone")?.clone();
    if ready.state != State::Live {
        bail!("the command handler is {}: {}", ready.state, ready.error.unwrap_or_default());
    }
    host.serve_http(&context.config.http).await?;
    let aggregate = built.name;
    let data = context.data.root().display();
    let (_, paid) = rows(&mut Reader::open(&context.data.read_model(read_model))?, PAID)?;
    let (order, command) = match paid.first().and_then(|row| row.first()) {
        Some(Cell::Text(order)) => (order.clone(), r#"Ship '{"carrier":"DHL"}'"#),
        _ => (
            "o-new".into(),
            r#"Place '{"customer_id":"c-1","items":[{"sku":"mug-blue","quantity":1,"price_cents":990}]}'"#,
        ),
    };
    output::line(&format!(
        "It knows {} orders, and takes commands:\n  lantern --data-dir {data} command {aggregate} {order} {command}\n  \
         lantern --data-dir {data} aggregate events {aggregate} {order}\n  \
         lantern --data-dir {data} query {read_model} \"SELECT * FROM orders WHERE order_id = '{order}'\"",
        ready.aggregates
    ))
}
