use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

#[derive(Debug, PartialEq, Serialize)]
struct Item {
    name: &'static str,
    left: u32,
}

pub fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "up\n" }))
        // The page comes from another port, so from another origin.
        .route("/items", get(|| async { ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(items())) }))
}

fn items() -> [Item; 3] {
    let stock = [("bells", 7), ("jars", 3), ("lids", 0)];
    stock.map(|(name, left)| Item { name, left })
}

#[cfg(test)]
mod tests {
    use super::items;

    #[test]
    fn items_are_ordered_by_name() {
        let names = items().map(|item| item.name);
        assert!(names.is_sorted(), "{names:?}");
    }
}
