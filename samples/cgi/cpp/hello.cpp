// A CGI program in C++: greets whom the query names, and answers POST with the body in capitals.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

static std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value ? value : "";
}

static std::string parameter(const std::string &name, const std::string &otherwise) {
    std::istringstream query(variable("QUERY_STRING"));
    for (std::string pair; std::getline(query, pair, '&');)
        if (pair.starts_with(name + "=")) return pair.substr(name.size() + 1);
    return otherwise;
}

int main() {
    std::cerr << "C++ answers " << variable("REQUEST_METHOD") << "\n";
    std::cout << "Content-Type: text/plain; charset=utf-8\n\n";
    if (variable("REQUEST_METHOD") == "POST") {
        std::string body(std::istreambuf_iterator<char>(std::cin), {});
        std::ranges::transform(body, body.begin(), [](unsigned char byte) { return std::toupper(byte); });
        std::cout << body;
    } else {
        std::cout << "Hello, " << parameter("name", "world") << ", from C++";
    }
}
