"""The pages of the prompt self-test, each with boilerplate that every refiner should remove."""

from __future__ import annotations

_NUMBERS = """Home | Lessons | Forum | Sign in
Why a sum of two odd numbers is even
An odd number is one more than an even number, so it can be written as 2n + 1 for some whole number n. Take a second one, \
2m + 1. Their sum is 2n + 2m + 2, which is 2(n + m + 1), and that is divisible by two whatever n and m are.
The same reasoning shows that the product of two odd numbers is odd: multiplied out it is 4nm + 2n + 2m + 1, and all its \
terms but the last are even.
Share on Facebook Share on Twitter Email this
Previous lesson | Next lesson | Back to top
Copyright 2019 The Number Garden. All rights reserved."""

_TIDES = """We use cookies to improve your experience. Accept all | Manage settings
MENU SEARCH SUBSCRIBE LOG IN
Why there are two tides a day
The moon pulls on the near side of the earth more strongly than on its centre, and on the centre more strongly than on the far \
side. The water is therefore drawn out on both sides, and as the earth turns below these two bulges most coasts see high water \
twice in a little under twenty-five hours.
The sun does the same, with less than half the strength. At new and full moon the two act together and tides run highest.
Click here to read more: https://tides.example/articles/?id=281&ref=footer
Sign up for our newsletter and never miss a story!
Tags: moon, sea, science | 0 comments | Leave a reply"""

_BREAD = """Skip to main content
Posted by admin on March 3, 2014 | 12 comments | Print this page
How yeast makes bread rise
Yeast feeds on the sugars in flour and gives off carbon dioxide. Kneading has joined the flour's proteins to an elastic net, and \
the gas is caught in it, so that the dough swells to about twice its size within an hour in a warm room. In the oven the bubbles \
expand once more before the crust sets, which is why a loaf that has risen too long collapses: its walls are stretched already.
Like this? Pin it! Tweet it! Share it!
You may also like: 10 kitchen hacks you need | Best mixers of the year | Win a free oven
Terms of use | Privacy policy | Contact us | Sitemap"""

_SHOP = """Home > Shop > Sale > Shoes
BUY NOW!!! FREE SHIPPING!!! LIMITED TIME ONLY!!!
Add to cart | Add to wishlist | Compare
Cheap shoes best shoes discount shoes buy shoes online cheap running shoes sale
Size 38 39 40 41 42 43 44
Customers also bought: $19.99 $24.99 $9.99
Sign in to see your price
Follow us on Facebook | Instagram | Pinterest
Copyright 2021 ShoeBarn. All rights reserved."""

_INDEX = """Login | Register | Forgot password?
Page 1 2 3 4 5 ... 118 Next
Re: Re: hi (3 replies) by guest_4411
lol (0 replies) by xx_user
test test (1 reply) by guest_90
Re: bump (7 replies) by modbot
Who is online: 0 members and 14 guests
Mark all read | Jump to: Off topic
Powered by BoardEngine 2.0. All times are GMT."""

PAGES = (_NUMBERS, _TIDES, _BREAD, _SHOP, _INDEX)
