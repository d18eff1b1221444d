"""Components as text, for the tests of their reader: what component linkers make of a module, by hand."""

from __future__ import annotations

STREAMS = """
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "input-stream" (type $in (sub resource)))
    (type $error (variant (case "closed") (case "failed" string)))
    (export "stream-error" (type $named (eq $error)))
    (type $self (borrow $in))
    (type $bytes (list u8))
    (type $outcome (result $bytes (error $named)))
    (export "[method]input-stream.read"
      (func (param "self" $self) (param "len" u64) (result $outcome)))
    (export "[method]input-stream.name" (func (param "self" $self) (result string)))))
  (alias export $streams "input-stream" (type $in))
"""
"""An interface with a resource."""
TYPES = """
  (import "wasi:http/types@0.2.0" (instance $types
    (alias outer 1 $in (type $outer))
    (export "input-stream" (type $in (eq $outer)))
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (type $own (own $in))
    (type $self (borrow $request))
    (export "[method]incoming-request.body" (func (param "self" $self) (result $own)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
"""
"""An interface that uses the other's resource."""
MAIN = """
  (core module $main
    (import "wasi:io/streams@0.2.3" "[method]input-stream.read" (func (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.3" "[method]input-stream.name" (func (param i32 i32)))
    (import "wasi:io/streams@0.2.3" "[resource-drop]input-stream" (func (param i32)))
    (import "wasi:http/types@0.2.0" "[method]incoming-request.body" (func (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "wasi:http/incoming-handler@0.2.0#handle") (param i32 i32))
    (func (export "cabi_post")))
"""
SHIM = """
  (core module $shim
    (type $long (func (param i32 i64 i32)))
    (type $short (func (param i32 i32)))
    (func $0 (type $long) local.get 0 local.get 1 local.get 2 i32.const 0 call_indirect (type $long))
    (func $1 (type $short) local.get 0 local.get 1 i32.const 1 call_indirect (type $short))
    (table 2 2 funcref)
    (export "0" (func $0)) (export "1" (func $1)) (export "$imports" (table 0)))
"""
FIXUP = """
  (core module $fixup
    (type $long (func (param i32 i64 i32)))
    (type $short (func (param i32 i32)))
    (import "" "0" (func (type $long)))
    (import "" "1" (func (type $short)))
    (import "" "$imports" (table 2 2 funcref))
    (elem (i32.const 0) func 0 1))
"""
LINKED = """
  (core instance $s (instantiate $shim))
  (core func $body (canon lower (func $types "[method]incoming-request.body")))
  (core func $drop (canon resource.drop $in))
  (core instance $m (instantiate $main
    (with "wasi:io/streams@0.2.3" (instance
      (export "[method]input-stream.read" (func $s "0"))
      (export "[method]input-stream.name" (func $s "1"))
      (export "[resource-drop]input-stream" (func $drop))))
    (with "wasi:http/types@0.2.0" (instance (export "[method]incoming-request.body" (func $body))))))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "cabi_realloc" (core func $realloc))
  (core func $read (canon lower (func $streams "[method]input-stream.read")
    (memory $memory) (realloc $realloc) string-encoding=utf8))
  (core func $name (canon lower (func $streams "[method]input-stream.name")
    (memory $memory) (realloc $realloc)))
  (alias core export $s "$imports" (core table $slots))
  (core instance $f (instantiate $fixup (with "" (instance
    (export "0" (func $read)) (export "1" (func $name)) (export "$imports" (table $slots))))))
"""
"""What component linkers put between a module and the functions that need its memory."""
WRAPPER = """
  (component $wrapper
    (import "import-type-incoming-request" (type $request (sub resource)))
    (import "import-type-response-outparam" (type $outparam (sub resource)))
    (type $own-request (own $request))
    (type $own-outparam (own $outparam))
    (import "import-func-handle"
      (func $handle (param "request" $own-request) (param "response-out" $own-outparam)))
    (export $seen-request "incoming-request" (type $request))
    (export $seen-outparam "response-outparam" (type $outparam))
    (type $own-seen-request (own $seen-request))
    (type $own-seen-outparam (own $seen-outparam))
    (export "handle" (func $handle)
      (func (param "request" $own-seen-request) (param "response-out" $own-seen-outparam))))
"""
"""What they make to export an interface: nothing but types, imports and exports."""
EXPORTED = """
  (type $own-request (own $request))
  (type $own-outparam (own $outparam))
  (alias core export $m "wasi:http/incoming-handler@0.2.0#handle" (core func $core-handle))
  (alias core export $m "cabi_post" (core func $post))
  (type $handling (func (param "request" $own-request) (param "response-out" $own-outparam)))
  (func $handle (type $handling) (canon lift (core func $core-handle) (post-return $post)))
  (instance $handler (instantiate $wrapper
    (with "import-type-incoming-request" (type $request))
    (with "import-type-response-outparam" (type $outparam))
    (with "import-func-handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler))
"""
ORDINARY = f"(component {STREAMS}{TYPES}{MAIN}{SHIM}{FIXUP}{LINKED}{WRAPPER}{EXPORTED})"
"""A component as C, Rust and others become one."""
EVERY_TYPE = """(component
  (import "test:every/types@1.0.0" (instance $types
    (export "thing" (type $thing (sub resource)))
    (type $own (own $thing)) (type $borrow (borrow $thing))
    (type $record (record (field "a" bool) (field "b" s8)))
    (export "record" (type $named-record (eq $record)))
    (type $variant (variant (case "none") (case "some" $named-record)))
    (export "variant" (type $named-variant (eq $variant)))
    (type $enum (enum "red" "green"))
    (export "enum" (type $named-enum (eq $enum)))
    (type $flags (flags "r" "w"))
    (export "flags" (type $named-flags (eq $flags)))
    (type $tuple (tuple u8 s16 u16)) (type $option (option $tuple)) (type $list (list $option))
    (type $no (result)) (type $ok (result s32)) (type $bad (result (error u32)))
    (type $result (result $list (error $named-enum)))
    (export "all" (func
      (param "s64" s64) (param "u64" u64) (param "f32" f32) (param "f64" f64) (param "char" char)
      (param "string" string) (param "own" $own) (param "borrow" $borrow) (param "flags" $named-flags)
      (param "variant" $named-variant) (param "no" $no) (param "ok" $ok) (param "bad" $bad)
      (result $result)))))
  (alias export $types "all" (func $all))
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (core func $lowered (canon lower (func $all) (memory $memory) (realloc $realloc)))
  (core module $n (import "x" "all" (func (param i32 i32))) (func (export "run")))
  (core instance (instantiate $n (with "x" (instance (export "all" (func $lowered)))))))"""
"""One function of all types of values."""
OWN_RESOURCES = """(component
  (type $first (resource (rep i32)))
  (type $second (resource (rep i32)))
  (core func $new (canon resource.new $second))
  (core func $rep (canon resource.rep $second))
  (core func $drop (canon resource.drop $first))
  (core module $m
    (import "own" "new" (func (param i32) (result i32)))
    (import "own" "rep" (func (param i32) (result i32)))
    (import "own" "drop" (func (param i32)))
    (func (export "make") (result i32) unreachable))
  (core instance $i (instantiate $m (with "own" (instance
    (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))))))
  (alias core export $i "make" (core func $core-make))
  (type $own (own $second))
  (func $make (result $own) (canon lift (core func $core-make)))
  (instance $made (export "thing" (type $second)))
  (export $thing "thing" (type $second))
  (type $own-thing (own $thing))
  (export "make" (func $make) (func (result $own-thing))))"""
"""Resources that the component defines itself, and a function in no interface."""
SEVERAL = """(component
  (import "test:host/log" (instance $log (export "write" (func (param "level" u32)))))
  (alias export $log "write" (func $write))
  (core func $lowered (canon lower (func $write)))
  (core module $libc
    (memory (export "memory") 1) (table (export "table") 4 funcref)
    (global (export "stack") (mut i32) (i32.const 4096))
    (func (export "malloc") (param i32) (result i32) unreachable))
  (core module $unused (func (export "never")))
  (core module $app
    (import "env" "memory" (memory 1)) (import "env" "table" (table 4 funcref))
    (import "env" "stack" (global (mut i32))) (import "env" "malloc" (func (param i32) (result i32)))
    (import "host" "write" (func (param i32)))
    (func (export "run")))
  (core instance $c (instantiate $libc))
  (core instance $a (instantiate $app
    (with "env" (instance $c)) (with "host" (instance (export "write" (func $lowered))))))
  (core instance $again (instantiate $app
    (with "env" (instance $c)) (with "host" (instance (export "write" (func $lowered))))))
  (alias core export $a "run" (core func $core-run))
  (func $run (canon lift (core func $core-run)))
  (instance $runs (export "run" (func $run)))
  (export "test:app/runs@0.1.0" (instance $runs)))"""
"""Several modules that share memory, a table, a global and functions; one is instantiated twice."""
ALL = (ORDINARY, EVERY_TYPE, OWN_RESOURCES, SEVERAL)
