package a.d

far if input.question == "far?"
