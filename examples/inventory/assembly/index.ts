// What lies in which warehouse, what was missing when it was counted, and what has to be ordered.
import { Db, Event, Manifest, Table, Text, Values, tuple } from "@lantern/sdk-assemblyscript";

const PRODUCTS = new Table("products", ["sku"], ["name", "reorder_at"]);
const STOCK = new Table("stock", ["warehouse", "sku"], ["quantity", "received", "picked", "lowest"]);
const DIFFERENCES = new Table("differences", ["warehouse", "sku", "at_ms"], ["expected", "counted"]);

export function manifest(): Manifest {
  return new Manifest("inventory")
    .version("1.0.0")
    .description("What lies in which warehouse")
    .topic("stock")
    .types(["ProductListed", "StockReceived", "StockPicked", "StockMoved", "StockCounted"])
    .schema("CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT NOT NULL, reorder_at INTEGER)")
    .schema(
      "CREATE TABLE stock (warehouse TEXT, sku TEXT, quantity INTEGER NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0, picked INTEGER NOT NULL DEFAULT 0, lowest INTEGER, PRIMARY KEY (warehouse, sku))",
    )
    .schema(
      "CREATE TABLE differences (warehouse TEXT, sku TEXT, at_ms INTEGER, expected INTEGER NOT NULL, counted INTEGER NOT NULL, PRIMARY KEY (warehouse, sku, at_ms))",
    )
    .query(
      "reorder",
      "SELECT sku, name, sum(quantity) AS quantity, reorder_at FROM products JOIN stock USING (sku) GROUP BY sku HAVING sum(quantity) < reorder_at ORDER BY sku",
      "What has to be ordered",
    )
    .query("product", "SELECT warehouse, quantity FROM stock WHERE sku = :sku ORDER BY warehouse", "Where a product lies");
}

export function apply(event: Event, db: Db): void {
  const data = event.json();
  const sku = data.text("sku");
  if (event.is("ProductListed")) {
    const product = db.upsert(PRODUCTS, sku).set("name", data.text("name"));
    if (data.has("reorder_at")) product.set("reorder_at", data.int("reorder_at"));
    else product.setNull("reorder_at");
    return;
  }
  if (event.is("StockCounted")) return counted(event, db, data.text("warehouse"), sku, data.int("quantity"));

  const quantity = data.int("quantity");
  if (quantity <= 0) return event.badInput(`${quantity} is no quantity`);
  if (event.is("StockReceived")) {
    db.upsert(STOCK, place(data.text("warehouse"), sku)).add("quantity", quantity).add("received", quantity);
  } else if (event.is("StockPicked")) {
    db.upsert(STOCK, place(data.text("warehouse"), sku)).add("picked", quantity);
    take(db, data.text("warehouse"), sku, quantity);
  } else {
    take(db, data.text("from"), sku, quantity);
    db.upsert(STOCK, place(data.text("to"), sku)).add("quantity", quantity);
  }
}

function place(warehouse: Text, sku: Text): Values {
  return tuple<Text>(warehouse).and<Text>(sku);
}

/** How much there was, with what this batch has written. */
function quantityAt(db: Db, warehouse: Text, sku: Text): i64 {
  const row = db.get(STOCK, place(warehouse, sku));
  return row === null ? 0 : row.get("quantity").integer();
}

/** What was taken is a fact, also where the books had less: the quantity falls below zero until somebody counts. */
function take(db: Db, warehouse: Text, sku: Text, quantity: i64): void {
  const left = quantityAt(db, warehouse, sku) - quantity;
  db.upsert(STOCK, place(warehouse, sku)).set("quantity", left).min("lowest", left);
}

function counted(event: Event, db: Db, warehouse: Text, sku: Text, quantity: i64): void {
  if (quantity < 0) return event.badInput(`${quantity} cannot be counted`);
  const expected = quantityAt(db, warehouse, sku);
  db.upsert(STOCK, place(warehouse, sku)).set("quantity", quantity);
  if (expected != quantity) {
    db.put(DIFFERENCES, tuple<Text>(warehouse).and<Text>(sku).and(event.timestampMs), tuple(expected).and(quantity));
  }
}
