-- A CGI program in Lua: greets whom the query names, and answers POST with the body in capitals.
local method = os.getenv("REQUEST_METHOD")

local function parameter(name)
  for key, value in os.getenv("QUERY_STRING"):gmatch("([^&=]+)=([^&]*)") do
    if key == name then return value end
  end
end

io.stderr:write("Lua answers ", method, "\n")
io.write("Content-Type: text/plain; charset=utf-8\n\n")
if method == "POST" then
  io.write(io.read("a"):upper())
else
  io.write("Hello, ", parameter("name") or "world", ", from Lua")
end
