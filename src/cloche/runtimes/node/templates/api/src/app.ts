import express, { type Express } from "express";

interface Note {
  readonly id: number;
  readonly text: string;
}

const LONGEST = 500;

/** Makes the application; each one has notes of its own, which makes it easy to test. */
export function makeApp(): Express {
  const notes: Note[] = [];
  const app = express();
  app.disable("x-powered-by");
  app.use(express.json({ limit: "16kb" }));

  app.get("/", (_request, response) => {
    response.json({ name: "{{name}}", notes: notes.length });
  });

  app.get("/notes", (_request, response) => {
    response.json(notes);
  });

  app.post("/notes", (request, response) => {
    const text: unknown = request.body?.text;
    if (typeof text !== "string" || text === "" || text.length > LONGEST) {
      response.status(400).json({ error: `text must have 1 to ${LONGEST} characters` });
      return;
    }
    const note = { id: notes.length + 1, text };
    notes.push(note);
    response.status(201).json(note);
  });

  return app;
}
