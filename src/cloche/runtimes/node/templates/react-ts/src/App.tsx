import { useState } from "react";

export function App() {
  const [count, setCount] = useState(0);

  return (
    <main>
      <h1>{{name}}</h1>
      <p>Edit src/App.tsx and save: the page follows.</p>
      <button type="button" onClick={() => setCount(count + 1)}>
        Pressed {count} {count === 1 ? "time" : "times"}
      </button>
    </main>
  );
}
