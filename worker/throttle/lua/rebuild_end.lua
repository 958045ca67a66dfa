-- A rebuild ends: open the log, if nothing was lost since its mark was left.
--
-- KEYS  1 mark, 2 epoch
-- ARGV  1 nonce, 2 generation
-- reply 1 opened, 0 the mark or the server is another: start again

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
if redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id then
  return 0
end
redis.call("SET", KEYS[2], ARGV[2] .. ":" .. run_id)
redis.call("DEL", KEYS[1])
return 1
