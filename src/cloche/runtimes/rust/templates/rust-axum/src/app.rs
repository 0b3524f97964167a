use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

#[derive(Serialize)]
struct Greeting {
    text: String,
}

pub fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "up\n" }))
        .route("/greetings/{name}", get(greet))
}

async fn greet(Path(name): Path<String>) -> Json<Greeting> {
    Json(Greeting {
        text: format!("Hello, {name}!"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::router;

    /// Asks a service of its own, over a real connection, and gives all that it answers.
    async fn ask(path: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router()).await });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn says_that_it_is_up() {
        assert!(ask("/").await.starts_with("HTTP/1.1 200 OK"));
    }

    #[tokio::test]
    async fn greets_in_json() {
        let answer = ask("/greetings/jar").await;
        assert!(answer.ends_with(r#"{"text":"Hello, jar!"}"#), "{answer}");
    }

    #[tokio::test]
    async fn knows_no_other_places() {
        assert!(ask("/elsewhere").await.starts_with("HTTP/1.1 404"));
    }
}
