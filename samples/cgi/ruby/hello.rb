# A CGI program in Ruby: greets whom the query names, and answers POST with the body in capitals.
require "uri"

method = ENV["REQUEST_METHOD"]

warn "Ruby answers #{method}"
puts "Content-Type: text/plain; charset=utf-8", ""
if method == "POST"
  print $stdin.read.upcase
else
  name = URI.decode_www_form(ENV["QUERY_STRING"]).to_h.fetch("name", "world")
  print "Hello, #{name}, from Ruby"
end
