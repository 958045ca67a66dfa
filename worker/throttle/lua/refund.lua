-- MAIL FROM was never sent: the permit was not used.
--
-- KEYS  one log for each budget, as in acquire.lua
-- ARGV  permit id, then the cost under each budget

for k = 1, #KEYS do
  for unit = 1, tonumber(ARGV[1 + k]) do
    redis.call("ZREM", KEYS[k], ARGV[1] .. "." .. unit)
  end
end
return 1
