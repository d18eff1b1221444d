<?php // Greets whom the query names, and answers POST with the body in capitals.

error_log("PHP answers " . $_SERVER["REQUEST_METHOD"]);
header("Content-Type: text/plain; charset=utf-8");
if ($_SERVER["REQUEST_METHOD"] === "POST") {
    echo strtoupper(file_get_contents("php://input"));
} else {
    echo "Hello, ", $_GET["name"] ?? "world", ", from PHP";
}
