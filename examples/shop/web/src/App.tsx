import { useEffect, useState } from "react";

type Item = { name: string; left: number };

const service = new URLSearchParams(location.search).get("service");

export function App() {
  const [items, setItems] = useState<Item[]>();
  const [failure, setFailure] = useState("");

  useEffect(() => {
    if (!service) return;
    fetch(new URL("/items", service))
      .then((answer) => answer.json())
      .then(setItems, (error: unknown) => setFailure(String(error)));
  }, []);

  return (
    <main>
      <h1>shop</h1>
      {!service && <p>Open this page with ?service= and the address of the service.</p>}
      {failure && <p>The service does not answer: {failure}</p>}
      <ul>
        {items?.map((item) => (
          <li key={item.name}>
            {item.name}: {item.left} left
          </li>
        ))}
      </ul>
    </main>
  );
}
