var app = WebApplication.CreateBuilder(args).Build();

app.MapGet("/", () => new { name = "{{name}}", ok = true });
app.MapGet("/greetings/{name}", (string name) => new { text = $"Hello, {name}." });

app.Run();
