-- The far side has answered: from now on the permit ages.
--
-- KEYS  one log for each budget, as in acquire.lua
-- ARGV  permit id, how long a log is kept in ms, then the cost under each budget
--
-- XX: a log that was lost and rebuilt elsewhere gets no stray entry. An answer later than it can
-- be counts from now all the same, so the log is kept for as long again.

local time = redis.call("TIME")
local now = string.format("%.0f", tonumber(time[1]) * 1000000 + tonumber(time[2]))
for k = 1, #KEYS do
  for unit = 1, tonumber(ARGV[2 + k]) do
    redis.call("ZADD", KEYS[k], "XX", now, ARGV[1] .. "." .. unit)
  end
  redis.call("PEXPIRE", KEYS[k], ARGV[2])
end
return 1
