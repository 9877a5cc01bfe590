"""The function `delivery`: it joins accepted rows with the transform's answers and delivers them."""
