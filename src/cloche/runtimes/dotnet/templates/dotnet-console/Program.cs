Console.WriteLine("Hello from {{name}}.");
