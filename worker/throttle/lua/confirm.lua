-- The far side has answered: from now on the permit ages.
--
-- KEYS  one log for each budget, as in acquire.lua
-- ARGV  permit id, then the cost under each budget
--
-- XX: a log that was lost and rebuilt elsewhere gets no stray entry.

local time = redis.call("TIME")
local now = string.format("%.0f", tonumber(time[1]) * 1000000 + tonumber(time[2]))
for k = 1, #KEYS do
  for unit = 1, tonumber(ARGV[1 + k]) do
    redis.call("ZADD", KEYS[k], "XX", now, ARGV[1] .. "." .. unit)
  end
end
return 1
