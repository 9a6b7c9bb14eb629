std = "lua54"
max_line_length = 100
max_cyclomatic_complexity = 12
files["spec/**/*.lua"] = { std = "+busted", max_line_length = 120 }
