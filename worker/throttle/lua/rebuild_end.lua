-- A rebuild ends: open the log, if nothing was lost since its mark was left.
--
-- KEYS  1 mark, 2 epoch, 3 as the last of acquire.lua
-- ARGV  1 nonce, 2 generation
-- reply 1 opened, 0 the mark or the server is another: start again

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local history = string.match(redis.call("INFO", "replication"), "master_replid:(%w+)") or ""
if redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id .. ":" .. history then
  return 0
end
redis.call("SET", KEYS[2], ARGV[2] .. ":" .. run_id)
redis.call("SET", KEYS[3], history)
redis.call("DEL", KEYS[1])
return 1
